import { App } from "./app.ts";
import { h, setText } from "./dom.ts";
import { shortId } from "./format.ts";
import { SwarmView } from "./swarm/view.ts";
import { blocksView } from "./views/blocks.ts";
import { capsView } from "./views/caps.ts";
import { consentView } from "./views/consent.ts";
import { headerView } from "./views/header.ts";
import { heldView } from "./views/held.ts";
import { jobView } from "./views/job.ts";
import { button, card, icon } from "./views/parts.ts";
import { peersView } from "./views/peers.ts";
import { sharesView } from "./views/shares.ts";
import { stageView } from "./views/stage.ts";

let due = false;
const app = new App(() => {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    update();
  });
});

const header = headerView(app);
const consent = consentView(app);
const stage = stageView(app);
const swarm = new SwarmView();
const shares = sharesView(app);
const blocks = blocksView(app);
const peers = peersView(app);
const held = heldView(app);
const job = jobView(app);
const caps = capsView(app, "caps");
const notice = h("div", { class: "problem notice", role: "alert", hidden: true }, icon("warning"), h("div", {}, h("strong"), h("p")));

const self = h("span", { class: "aside" });
const legend = h(
  "p",
  { class: "legend", "aria-hidden": "true" },
  ...(["peers", "relay", "http"] as const).map((key) => h("span", {}, h("i", { class: `dot ${key}` }), { peers: "from visitors", relay: "from the relay", http: "by HTTP" }[key])),
);
const workspace = h(
  "main",
  { class: "workspace" },
  h("h1", { class: "visually-hidden" }, "PeerEdge, a live demonstration"),
  notice,
  h("div", { class: "column" }, stage.element, blocks.element, peers.element, held.element, job.element),
  h(
    "div",
    { class: "column" },
    card("swarm-card", "The swarm, live", self, swarm.element, legend),
    shares.element,
    card("limits", "Your limits", null, caps.element, h("div", { class: "withdraw" }, button(null, "Withdraw consent", "danger", () => void app.withdraw()), h("p", { class: "hint" }, "Closes every connection at once."))),
  ),
);
const drop = h("div", { class: "dropping", hidden: true, "aria-hidden": "true" }, h("p", {}, "Drop it: it becomes a link"));
const footer = h("footer", { class: "foot" }, h("p", {}, "Every byte is checked against the link, whoever sends it. No account, no tracking, no third party."));

document.body.append(header.element, consent.element, workspace, footer, drop);

function update(): void {
  const granted = app.consent === "granted";
  consent.element.hidden = granted;
  workspace.hidden = !granted;
  header.update();
  if (!granted) return consent.update();
  for (const view of [stage, shares, blocks, peers, held, job, caps]) view.update();
  swarm.update(app.swarm);
  setText(self, app.peer?.id ? `you are ${shortId(app.peer.id)}` : "");
  const problem = app.problem ?? (app.refusal ? { title: "The relay refused something", advice: app.refusal } : null);
  notice.hidden = problem === null;
  const [title, words] = notice.lastElementChild?.children ?? [];
  if (problem && title && words) {
    setText(title, problem.title);
    setText(words, problem.advice);
  }
}

const carriesFile = (event: DragEvent) => app.consent === "granted" && (event.dataTransfer?.types.includes("Files") ?? false);
addEventListener("dragover", (event) => {
  if (!carriesFile(event)) return;
  event.preventDefault();
  drop.hidden = false;
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) drop.hidden = true;
});
addEventListener("drop", (event) => {
  drop.hidden = true;
  if (!carriesFile(event)) return;
  event.preventDefault();
  const file = event.dataTransfer?.files[0];
  if (file) void app.publish(file);
});
// A picture that was not looked at is drawn anew when it is.
document.addEventListener("visibilitychange", () => !document.hidden && update());

update();
void app.begin();
