import type { Caps } from "peeredge";
import type { App } from "../app.ts";
import { h, setText } from "../dom.ts";
import { limit } from "../format.ts";

const MB = 1e6;
const RATES = [0.125, 0.25, 0.5, 1, 2, 4, 8, 16].map((mb) => mb * MB).concat(Infinity);
const TOTALS = [10, 50, 100, 250, 500, 1000, 5000].map((mb) => mb * MB).concat(Infinity);
const CONNECTIONS = [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32];

/** The place of a value among a slider's steps: the step itself, or the next lower one. */
export function stepOf(steps: readonly number[], value: number): number {
  return Math.max(0, steps.findLastIndex((step) => step <= value));
}

/** The visitor's limits, as controls. Each change holds at once. */
export function capsView(app: App, name: string): { element: HTMLElement; update(): void } {
  const caps = () => app.peer?.caps;
  const updates: (() => void)[] = [];

  const toggle = (key: "upload" | "uploadOnMetered" | "uploadOnLowBattery", label: string, hint: string) => {
    const id = `${name}-${key}`;
    const input = h("input", { type: "checkbox", role: "switch", id, class: "switch", "aria-describedby": `${id}-hint` });
    input.addEventListener("change", () => app.setCaps({ [key]: input.checked }));
    updates.push(() => (input.checked = caps()?.[key] ?? false));
    return h(
      "div",
      { class: "setting" },
      h("div", { class: "setting-words" }, h("label", { for: id }, label), h("p", { id: `${id}-hint`, class: "hint" }, hint)),
      input,
    );
  };

  const slider = (key: "uploadBytesPerSecond" | "uploadBytes" | "connections", label: string, steps: readonly number[], words: (value: number) => string) => {
    const id = `${name}-${key}`;
    const input = h("input", { type: "range", id, class: "slider", min: 0, max: steps.length - 1, step: 1 });
    const output = h("output", { for: id, class: "value" });
    const show = (value: number) => {
      setText(output, words(value));
      input.setAttribute("aria-valuetext", words(value));
      input.style.setProperty("--at", `${(100 * Number(input.value)) / (steps.length - 1)}%`);
    };
    input.addEventListener("input", () => {
      const value = steps[Number(input.value)] ?? 0;
      show(value);
      app.setCaps({ [key]: value } as Partial<Caps>);
    });
    updates.push(() => {
      const value = caps()?.[key] ?? Infinity;
      input.value = String(stepOf(steps, value));
      if (key !== "connections") input.disabled = caps()?.upload === false;
      show(value);
    });
    return h("div", { class: "setting slide" }, h("div", { class: "setting-line" }, h("label", { for: id }, label), output), input);
  };

  const element = h(
    "div",
    { class: "settings" },
    toggle("upload", "Give bytes to other visitors", "Off: this tab only takes."),
    slider("uploadBytesPerSecond", "At most", RATES, (value) => (Number.isFinite(value) ? `${limit(value)}/s` : limit(value))),
    slider("uploadBytes", "In this session", TOTALS, limit),
    slider("connections", "Connections at a time", CONNECTIONS, (value) => (value === 0 ? "none: relay and HTTP only" : String(value))),
    toggle("uploadOnMetered", "Also on a metered connection", "As far as the browser tells: cellular, or data saver."),
    toggle("uploadOnLowBattery", "Also on a low battery", "Below a fifth, and not charging."),
  );
  return { element, update: () => updates.forEach((update) => update()) };
}
