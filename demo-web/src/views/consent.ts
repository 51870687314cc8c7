import type { App } from "../app.ts";
import { h, setText } from "../dom.ts";
import { capsView } from "./caps.ts";
import { illustration } from "./illustration.ts";
import { button, icon, type IconName } from "./parts.ts";

/** The question before anything connects, and the way back to it. */
export function consentView(app: App): { element: HTMLElement; update(): void } {
  const wanted = new URLSearchParams(location.search).get("c");
  const caps = capsView(app, "first");
  const title = h("h2", { id: "consent-title" });
  const agree = button(null, "Share and connect", "primary", () => void app.agree());
  const decline = button(null, "No, thanks", "plain", () => void app.withdraw());
  const status = h("p", { class: "consent-status", role: "status" });

  const fact = (name: IconName, term: string, words: string) =>
    h("li", {}, icon(name), h("div", {}, h("strong", {}, term), " ", h("span", {}, words)));

  const plain = wanted && h("a", { href: `/c/${encodeURIComponent(wanted)}`, rel: "noreferrer" }, "get this file from the relay alone");
  const declined = h(
    "p",
    { class: "hint", hidden: true },
    "Nothing is connected, and nothing is shared. ",
    plain ? "You can still " : "You can change your answer at any time.",
    plain,
    plain ? ", if it has it." : "",
  );

  const element = h(
    "main",
    { class: "welcome" },
    h(
      "div",
      { class: "pitch" },
      illustration(),
      h("h1", {}, "Your visitors deliver your site."),
      h(
        "p",
        { class: "lead" },
        "Drop a file in one tab, open it in another, and watch the bytes cross from browser to browser, each piece verified. The relay only introduces them: take it away, and they finish from each other.",
      ),
      h(
        "ol",
        { class: "steps" },
        h("li", {}, "Take the sample, or drop a file of your own."),
        h("li", {}, "Open its link in a second tab or another browser."),
        h("li", {}, "See who sends what to whom, and change your limits while it runs."),
      ),
    ),
    h(
      "section",
      { class: "card consent", "aria-labelledby": "consent-title" },
      title,
      h(
        "p",
        {},
        "This page gets files from other visitors’ browsers as well as from its server. In return, your browser passes on pieces of what it has loaded here.",
      ),
      h(
        "ul",
        { class: "facts" },
        fact("share", "What others get:", "pieces of files that you open or drop on this page. Nothing else from your device."),
        fact("eye", "What others see:", "your IP address, as with any direct connection."),
        fact("disk", "What is kept:", "loaded files stay in this browser, 1 GB at most, until you remove them."),
        fact("sliders", "What you control:", "rate, total and connections, at any time. Nothing is given on a metered connection or a low battery unless you say so."),
      ),
      h("details", { class: "first-limits" }, h("summary", {}, "Set limits first"), caps.element),
      h("div", { class: "answers" }, agree, decline),
      status,
      declined,
    ),
  );

  return {
    element,
    update() {
      caps.update();
      setText(title, wanted ? "A file was shared with you. Fetch it together with others?" : "Share what you load here with other visitors?");
      agree.disabled = app.starting || !app.peer;
      decline.hidden = app.consent === "denied";
      declined.hidden = app.consent !== "denied";
      const words = app.starting ? "Starting the engine …" : app.consent === "denied" ? "" : "Nothing is connected until you agree.";
      setText(status, app.problem ? `${app.problem.title}. ${app.problem.advice}` : words);
      status.classList.toggle("bad", app.problem !== null);
    },
  };
}
