import type { PeerStats } from "peeredge";
import type { App } from "../app.ts";
import { h, keyed, setText } from "../dom.ts";
import { bytes, count, rate, shortId } from "../format.ts";
import { card, icon } from "./parts.ts";

/** Who is connected; and who lied, by name. */
export function peersView(app: App): { element: HTMLElement; update(): void } {
  const body = h("tbody");
  const table = h(
    "table",
    { class: "peer-table" },
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Peer"), h("th", { scope: "col" }, "Received"), h("th", { scope: "col" }, "Sent"))),
    body,
  );
  const nobody = h("p", { class: "hint" }, "Nobody yet. Open this page's link in a second tab or another browser.");
  const blames = h("ul", { class: "blames", "aria-live": "assertive" });
  const aside = h("span", { class: "aside" });
  const element = card("peers", "Connected now", aside, blames, table, nobody);
  return {
    element,
    update() {
      const peers = [...(app.stats?.peers ?? [])].sort((a, b) => Number(b.isRelay) - Number(a.isRelay));
      const now = performance.now();
      table.hidden = peers.length === 0;
      nobody.hidden = peers.some((peer) => !peer.isRelay);
      setText(aside, app.stats ? `${count(app.stats.connectionsMade, "connection")} made so far` : "");
      keyed(body, peers, ({ peer }) => peer, makeRow, (row, peer) => updateRow(app, row, peer, now));
      keyed(
        blames,
        app.blames,
        ({ peer, content, block }) => `${peer} ${content} ${block}`,
        ({ peer, block, coded }) =>
          h(
            "li",
            { class: "problem" },
            icon("warning"),
            h(
              "div",
              {},
              h("strong", {}, `Peer ${shortId(peer)} sent false bytes`),
              h(
                "p",
                {},
                coded
                  ? `Block ${block} is right by its hashes; the coded symbols that this peer had sent for it were made again, and differ.`
                  : `A symbol of block ${block} contradicts its hash in the manifest.`,
                " It is dropped, reported to the relay, and not spoken to again. None of its bytes was used.",
              ),
            ),
          ),
        () => undefined,
      );
      blames.hidden = app.blames.length === 0;
    },
  };
}

function makeRow(): HTMLTableRowElement {
  const amount = () => h("td", {}, h("span", { class: "amount" }), h("span", { class: "speed" }));
  return h("tr", {}, h("th", { scope: "row" }, h("i", { class: "dot", "aria-hidden": "true" }), h("span")), amount(), amount());
}

function updateRow(app: App, row: HTMLTableRowElement, peer: PeerStats, now: number): void {
  const label = peer.isRelay ? "Relay" : shortId(peer.peer);
  row.className = peer.open ? "open" : "opening";
  row.querySelector(".dot")?.setAttribute("class", `dot ${peer.isRelay ? "relay" : "peers"}`);
  const name = row.querySelector("th span");
  if (name) setText(name, peer.open ? label : `${label} · connecting`);
  const cells = [
    [peer.receivedBytes, app.rates.of(`${peer.peer} down`, now)],
    [peer.sentBytes, app.rates.of(`${peer.peer} up`, now)],
  ] as const;
  cells.forEach(([total, speed], index) => {
    const cell = row.cells[index + 1];
    if (cell?.firstElementChild) setText(cell.firstElementChild, bytes(total));
    if (cell?.lastElementChild) setText(cell.lastElementChild, rate(speed));
  });
}
