import type { App } from "../app.ts";
import { h, setText } from "../dom.ts";
import { count } from "../format.ts";
import { button, mark } from "./parts.ts";

const RELAY_WORDS = { connecting: "Relay: connecting", ready: "Relay connected", lost: "Relay gone: peers go on" };

export function headerView(app: App): { element: HTMLElement; update(): void } {
  const relay = h("span", { class: "pill", role: "status" });
  const peers = h("span", { class: "pill" });
  const stop = button(null, "Stop sharing", "quiet", () => void app.withdraw());
  const states = h("div", { class: "states" }, relay, peers);
  const element = h(
    "header",
    { class: "top" },
    h("a", { class: "brand", href: "/", "aria-label": "PeerEdge, start page" }, mark(), h("span", {}, "PeerEdge")),
    states,
    stop,
  );
  return {
    element,
    update() {
      stop.hidden = states.hidden = app.consent !== "granted";
      setText(relay, RELAY_WORDS[app.relay]);
      relay.className = `pill relay ${app.relay}`;
      const open = app.stats?.peers.filter((peer) => peer.open && !peer.isRelay).length ?? 0;
      setText(peers, count(open, "peer"));
      peers.className = `pill peers ${open ? "ready" : "none"}`;
    },
  };
}
