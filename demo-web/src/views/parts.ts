import { h, svg, type Child } from "../dom.ts";

const PATHS = {
  check: "M4 10.5l4 4 8-9",
  copy: "M7 7h9v9H7zM4 13V4h9",
  tab: "M3 5h14v11H3zM3 8.5h14M11 12h3",
  save: "M10 3v9m-4-3.5l4 4 4-4M4 16.5h12",
  retry: "M15.5 6.5A6.5 6.5 0 1 0 16.5 11M16 3v4h-4",
  close: "M5 5l10 10M15 5L5 15",
  warning: "M10 3l7.5 13.5h-15zM10 8v4M10 14v.5",
  file: "M5 2.5h7l3.5 3.5v11.5H5zM12 2.5V6h3.5",
  play: "M7 4.5v11l9-5.5z",
  plus: "M10 4v12M4 10h12",
  shield: "M10 2.5l6 2.2v4.6c0 3.8-2.5 6.6-6 8.2-3.5-1.6-6-4.4-6-8.2V4.7zM7 10l2.2 2.2 4-4.4",
  eye: "M2 10s3-5.5 8-5.5 8 5.5 8 5.5-3 5.5-8 5.5S2 10 2 10zM10 12.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5z",
  sliders: "M3 6h7m4 0h3M3 14h3m4 0h7M12 4v4M8 12v4",
  share: "M10 13V3m-3.5 3.5L10 3l3.5 3.5M5 9.5H4V17h12V9.5h-1",
  disk: "M3 6c0-1.7 3.1-3 7-3s7 1.3 7 3-3.1 3-7 3-7-1.3-7-3zm0 0v8c0 1.7 3.1 3 7 3s7-1.3 7-3V6M3 10c0 1.7 3.1 3 7 3s7-1.3 7-3",
  trash: "M4 6h12M8 6V4h4v2M5.5 6l.8 11h7.4l.8-11",
} as const;

export type IconName = keyof typeof PATHS;

export function icon(name: IconName): SVGSVGElement {
  return svg("svg", { class: "icon", viewBox: "0 0 20 20", "aria-hidden": "true" }, svg("path", { d: PATHS[name] }));
}

/** A panel of the page: a heading, a remark beside it, and what belongs to it. */
export function card(name: string, title: string, aside: Child, ...children: Child[]): HTMLElement {
  const heading = `${name}-title`;
  return h(
    "section",
    { class: `card ${name}`, "aria-labelledby": heading },
    h("header", { class: "card-head" }, h("h2", { id: heading }, title), aside),
    ...children,
  );
}

export function button(name: IconName | null, label: string, look: "primary" | "plain" | "quiet" | "danger", act: () => void): HTMLButtonElement {
  return h("button", { type: "button", class: `button ${look}`, onclick: () => act() }, name && icon(name), h("span", {}, label));
}

export function mark(): SVGSVGElement {
  return svg(
    "svg",
    { class: "mark", viewBox: "0 0 32 32", "aria-hidden": "true" },
    svg("path", { class: "mark-far", d: "M16 7 7 24M16 7l9 17" }),
    svg("path", { class: "mark-near", d: "M7 24h18" }),
    svg("circle", { class: "mark-relay", cx: 16, cy: 7, r: 4.2 }),
    svg("circle", { class: "mark-peer", cx: 7, cy: 24, r: 4.2 }),
    svg("circle", { class: "mark-peer", cx: 25, cy: 24, r: 4.2 }),
  );
}
