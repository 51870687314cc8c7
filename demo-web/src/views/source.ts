import type { App, Listed } from "../app.ts";
import { creditOf } from "../credit.ts";
import { h, keyed, setText } from "../dom.ts";
import { bytes } from "../format.ts";
import { kindOf } from "../media/kind.ts";
import { button, icon } from "./parts.ts";

const KINDS = { video: "Video", audio: "Audio", image: "Picture", file: "File" };

/** The choice of a content: the relay's, one's own, or one by its link. */
export function sourceView(app: App): { element: HTMLElement; update(): void } {
  const samples = h("ul", { class: "samples" });
  const none = h("p", { class: "hint" });
  const file = h("input", { type: "file", id: "file", class: "visually-hidden" });
  file.addEventListener("change", () => {
    const chosen = file.files?.[0];
    file.value = "";
    if (chosen) void app.publish(chosen);
  });
  const link = h("input", { type: "text", id: "link", name: "link", placeholder: "peeredge:…  or  https://relay/c/…", autocomplete: "off", spellcheck: "false", required: true });
  const form = h(
    "form",
    {
      class: "by-link",
      onsubmit: (event) => {
        event.preventDefault();
        const text = linkIn(link.value);
        link.value = "";
        if (text) void app.open(text);
      },
    },
    h("label", { for: "link" }, "Open a link"),
    h("div", { class: "field" }, link, h("button", { type: "submit", class: "button plain" }, "Fetch")),
  );
  const element = h(
    "div",
    { class: "source" },
    h(
      "div",
      { class: "drop" },
      file,
      h("label", { for: "file", class: "drop-area" }, icon("plus"), h("strong", {}, "Drop a file, or choose one"), h("span", { class: "hint" }, "It becomes a link, and is shared from this tab. It is not uploaded to a server.")),
    ),
    h("div", { class: "offered" }, h("h3", {}, "From this relay"), samples, none),
    form,
  );
  return {
    element,
    update() {
      const listed = app.listed ?? [];
      none.hidden = listed.length > 0;
      setText(none, app.listed ? "The relay shares nothing right now." : "Asking the relay …");
      keyed(samples, listed.slice(0, 6), ({ id }) => id, (item) => sampleOf(app, item), () => undefined);
    },
  };
}

function sampleOf(app: App, { id, name, media_type, length }: Listed): HTMLElement {
  const take = button(null, "Take it", "primary", () => void app.open(`peeredge:${id}`));
  take.setAttribute("aria-label", `Take ${name}`);
  return h(
    "li",
    { class: "sample" },
    h("span", { class: "thumb", "aria-hidden": "true" }, icon(kindOf(media_type) === "file" ? "file" : "play")),
    h("div", { class: "sample-words" }, h("strong", {}, name || "Unnamed"), h("span", { class: "hint" }, [KINDS[kindOf(media_type)], bytes(length), creditOf(name)].filter(Boolean).join(" · "))),
    take,
  );
}

/** A link as pasted: also the address that this page shares. */
export function linkIn(text: string): string {
  const trimmed = text.trim();
  const shared = /^https?:\/\/[^/]+\/\?(?:.*&)?c=([a-z2-7]{52})\b/.exec(trimmed)?.[1];
  if (shared) return `peeredge:${shared}`;
  return /^[a-z2-7]{52}$/.test(trimmed) ? `peeredge:${trimmed}` : trimmed;
}
