import type { App } from "../app.ts";
import { h, setAttributes, setText, svg } from "../dom.ts";
import { bytes, limit, percent, rate } from "../format.ts";
import { stackedAreas, topOf } from "../history.ts";
import { card } from "./parts.ts";

const SOURCES = [
  ["peers", "Peers"],
  ["relay", "Relay"],
  ["http", "HTTP"],
] as const;

const CHART_WIDTH = 400;
const CHART_HEIGHT = 56;

/** Where the bytes came from, and what verification said. */
export function sharesView(app: App): { element: HTMLElement; update(): void } {
  const bar = h("div", { class: "stack", "aria-hidden": "true" });
  const rows = SOURCES.map(([key, label]) => {
    const segment = h("div", { class: key });
    bar.append(segment);
    const share = h("td", { class: "share-of" });
    const amount = h("td");
    const speed = h("td", { class: "speed" });
    const row = h("tr", {}, h("th", { scope: "row" }, h("i", { class: `dot ${key}`, "aria-hidden": "true" }), label), share, amount, speed);
    return { key, segment, share, amount, speed, row };
  });
  const figure = (label: string, hint: string) => {
    const value = h("dd");
    return { value, element: h("div", { title: hint }, h("dt", {}, label), value) };
  };
  const verified = figure("Verified", "Bytes that match the link; no others are used, kept or passed on");
  const given = figure("Given", "Bytes sent to other visitors");
  const duplicate = figure("Duplicate", "Bytes that arrived for nothing, since another source was faster");
  const rejected = figure("Rejected", "Bytes that failed verification");
  const aside = h("span", { class: "aside" });
  const areas = { peers: svg("path", { class: "peers" }), relay: svg("path", { class: "relay" }), http: svg("path", { class: "http" }) };
  const chart = svg("svg", { viewBox: `0 0 ${CHART_WIDTH} ${CHART_HEIGHT}`, preserveAspectRatio: "none" }, areas.peers, areas.relay, areas.http);
  const top = h("span");
  const minute = h("div", { class: "minute", "aria-hidden": "true" }, chart, h("p", {}, h("span", {}, "last minute"), top));
  const element = card(
    "shares",
    "Where the bytes come from",
    aside,
    bar,
    minute,
    h(
      "table",
      { class: "sources" },
      h("caption", { class: "visually-hidden" }, "Verified bytes by source"),
      h("thead", { class: "visually-hidden" }, h("tr", {}, ...["Source", "Share", "Bytes", "Rate"].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, ...rows.map(({ row }) => row)),
    ),
    h("dl", { class: "figures" }, verified.element, given.element, duplicate.element, rejected.element),
  );
  return {
    element,
    update() {
      const { stats, transfer } = app;
      const now = performance.now();
      const fetched = transfer?.origin === "fetch" ? transfer : null;
      const from = fetched ? app.sourcesOf(fetched) : { peers: stats?.fromPeersBytes ?? 0, relay: stats?.fromRelayBytes ?? 0, http: stats?.fromHttpBytes ?? 0 };
      const total = from.peers + from.relay + from.http;
      const kept = fetched?.phase === "done" && total === 0;
      setText(aside, kept ? "all of it was here already" : fetched ? "this content" : "since you agreed");
      bar.classList.toggle("empty", total === 0);
      for (const { key, segment, share, amount, speed } of rows) {
        segment.hidden = from[key] === 0;
        segment.style.setProperty("flex-grow", String(total ? from[key] / total : 0));
        setText(share, percent(from[key], total));
        setText(amount, bytes(from[key]));
        setText(speed, rate(app.rates.of(key, now)));
      }
      const { moments, spanMs } = app.history;
      minute.hidden = !moments.some((moment) => moment.peers + moment.relay + moment.http > 0);
      const most = topOf(moments);
      const paths = stackedAreas(moments, now, spanMs, CHART_WIDTH, CHART_HEIGHT, most);
      for (const [key] of SOURCES) setAttributes(areas[key], { d: paths[key] });
      setText(top, `${limit(most)}/s`);
      setText(verified.value, bytes((stats?.fromPeersBytes ?? 0) + (stats?.fromRelayBytes ?? 0) + (stats?.fromHttpBytes ?? 0)));
      setText(given.value, bytes(stats?.sentBytes ?? 0));
      setText(duplicate.value, bytes(stats?.duplicateBytes ?? 0));
      setText(rejected.value, bytes(stats?.rejectedBytes ?? 0));
      rejected.element.classList.toggle("bad", (stats?.rejectedBytes ?? 0) > 0);
    },
  };
}
