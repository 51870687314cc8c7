import type { ContentStats } from "peeredge";
import type { App } from "../app.ts";
import { h, keyed, setText } from "../dom.ts";
import { bytes, percent, shortId } from "../format.ts";
import { button, card } from "./parts.ts";

const WHERE = { opfs: "in this browser's storage", memory: "in memory", none: "" };

/** What this tab holds and shares. */
export function heldView(app: App): { element: HTMLElement; update(): void } {
  const list = h("ul", { class: "held" });
  const aside = h("span", { class: "aside" });
  const element = card("held-card", "Held and shared by this tab", aside, list);
  return {
    element,
    update() {
      const contents = app.stats?.contents ?? [];
      element.hidden = contents.length === 0;
      setText(aside, WHERE[app.stats?.store ?? "none"]);
      keyed(list, contents, ({ content }) => content, (content) => makeItem(app, content), updateItem);
    },
  };
}

function makeItem(app: App, { content }: ContentStats): HTMLLIElement {
  const open = button(null, "Open", "plain", () => void app.open(`peeredge:${content}`));
  const remove = button("trash", "Remove", "quiet", () => void app.remove(content));
  return h("li", {}, h("div", { class: "held-words" }, h("strong"), h("span", { class: "hint" })), open, remove);
}

function updateItem(item: HTMLLIElement, { content, name, length, heldBytes }: ContentStats): void {
  const label = name || `Content ${shortId(content)}`;
  const [title, words] = item.firstElementChild?.children ?? [];
  if (title) setText(title, label);
  if (words) setText(words, heldBytes >= length && length > 0 ? bytes(length) : `${percent(heldBytes, length)} of ${length ? bytes(length) : "an unknown size"}`);
  const [, open, remove] = item.children;
  open?.setAttribute("aria-label", `Open ${label}`);
  remove?.setAttribute("aria-label", `Remove ${label}`);
}
