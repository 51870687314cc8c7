import type { Computed } from "peeredge";
import type { App } from "../app.ts";
import { h, keyed, setText } from "../dom.ts";
import { count, duration, gas, shortId } from "../format.ts";
import { COLUMNS, PLACES, ROWS, TILE_PIXELS, paint, type Tile } from "../job/fractal.ts";
import { Job, type Share } from "../job/job.ts";
import { problemOf } from "../problem.ts";
import { button, card } from "./parts.ts";

const POLL_MS = 500;
const NONE: Computed = { tasks: 0, gas: 0, running: 0, gasPerSecond: 0, backingOff: false };

/** A picture that the tabs compute together, and what this tab gives of its processor. */
export function jobView(app: App): { element: HTMLElement; update(): void } {
  let job: Job | null = null;
  let module: Promise<Blob> | null = null;
  let computed = NONE;
  let problem: string | null = null;

  const canvas = h("canvas", { width: COLUMNS * TILE_PIXELS, height: ROWS * TILE_PIXELS, class: "picture", role: "img" });
  const cells = h("div", { class: "cells", "aria-hidden": "true" });
  const cellOf = new Map<string, HTMLElement>();
  for (let row = 0; row < ROWS; row++) {
    for (let column = 0; column < COLUMNS; column++) {
      const cell = h("i");
      cells.append(cell);
      cellOf.set(`${column} ${row}`, cell);
    }
  }
  const bar = h("progress", { max: 1, value: 0, "aria-label": "Tiles done" });
  const words = h("p", { class: "hint", "aria-live": "polite" });
  const who = h("ol", { class: "who" });
  const aside = h("span", { class: "aside" });

  const place = h("select", { id: "place" }, ...PLACES.map(({ name }, at) => h("option", { value: at }, name)));
  const twice = h("input", { type: "checkbox", role: "switch", id: "twice", class: "switch" });
  const start = button("play", "Have it computed", "primary", () => void draw());
  const stop = button("close", "Stop", "plain", () => job?.stop());

  const allow = h("input", { type: "checkbox", role: "switch", id: "compute", class: "switch", "aria-describedby": "compute-hint" });
  allow.addEventListener("change", () => {
    app.settings.computes = allow.checked;
    void app.peer?.setCompute({ allowed: allow.checked }).then(update);
  });
  const duty = h("input", { type: "range", id: "duty", class: "slider", min: 100, max: 1000, step: 100 });
  const dutyWords = h("output", { for: "duty", class: "value" });
  duty.addEventListener("input", () => void app.peer?.setCompute({ dutyPermille: Number(duty.value) }).then(update));
  const given = h("p", { class: "hint" });

  const element = card(
    "job",
    "Compute a picture together",
    aside,
    h("div", { class: "frame" }, canvas, cells),
    bar,
    words,
    who,
    h(
      "div",
      { class: "job-row" },
      h("label", { class: "visually-hidden", for: "place" }, "Which part of the set"),
      place,
      start,
      stop,
      h("label", { class: "inline", for: "twice" }, twice, "two must agree"),
    ),
    h(
      "div",
      { class: "settings" },
      h(
        "div",
        { class: "setting" },
        h(
          "div",
          { class: "setting-words" },
          h("label", { for: "compute" }, "Compute for others in this tab"),
          h("p", { id: "compute-hint", class: "hint" }, "A consent of its own, for tasks of this site alone: what visitors hand in on its pages. Tasks have no network, no files and no clock, and pause when you look elsewhere."),
        ),
        allow,
      ),
      h("div", { class: "setting slide" }, h("div", { class: "setting-line" }, h("label", { for: "duty" }, "Share of the time"), dutyWords), duty),
      given,
    ),
  );

  async function draw(): Promise<void> {
    const { peer } = app;
    const chosen = PLACES[Number(place.value)];
    if (!peer || !chosen || job?.phase === "running") return;
    problem = null;
    canvas.getContext("2d")?.clearRect(0, 0, canvas.width, canvas.height);
    for (const cell of cellOf.values()) cell.className = "";
    const running = (job = new Job(chosen));
    update();
    try {
      module ??= fetch("/fractal.wasm").then((answer) => (answer.ok ? answer.blob() : Promise.reject(new Error(`no task: ${answer.status}`))));
      await running.run(peer, await module, twice.checked ? 2 : 1, {
        given: ({ column, row }) => cellOf.get(`${column} ${row}`)?.classList.add("given"),
        done: (tile, { output }) => show(tile, output),
        changed: update,
      });
      if (running.phase === "failed") problem = problemOf(running.error).title;
    } catch (error) {
      module = null;
      running.stop();
      problem = problemOf(error).title;
    }
    update();
  }

  function show({ column, row }: Tile, shades: Uint8Array): void {
    const cell = cellOf.get(`${column} ${row}`);
    if (cell) cell.className = "done";
    const tile = new ImageData(paint(shades), TILE_PIXELS, TILE_PIXELS);
    // Its first row lies lowest in the plane.
    canvas.getContext("2d")?.putImageData(tile, column * TILE_PIXELS, row * TILE_PIXELS);
  }

  function update(): void {
    const compute = app.peer?.compute;
    allow.checked = compute?.allowed ?? false;
    duty.value = String(compute?.dutyPermille ?? 500);
    duty.disabled = !allow.checked;
    duty.style.setProperty("--at", `${(Number(duty.value) - 100) / 9}%`);
    setText(dutyWords, `${Number(duty.value) / 10} %`);
    const speed = computed.gasPerSecond > 0 ? `, ${gas(computed.gasPerSecond)}/s` : "";
    const heat = computed.backingOff ? "; slower than before, so it rests more" : "";
    setText(given, computed.tasks > 0 ? `This tab computed ${count(computed.tasks, "tile")} for others: ${gas(computed.gas)}${speed}${heat}.` : allow.checked ? "Waiting for somebody's task." : "");
    const isRunning = job?.phase === "running";
    start.hidden = isRunning;
    stop.hidden = !isRunning;
    bar.hidden = job === null;
    bar.value = job ? job.done / job.all : 0;
    canvas.setAttribute("aria-label", job ? `${job.place.name}: ${job.done} of ${job.all} tiles` : "No picture yet");
    setText(aside, job && job.gas > 0 ? gas(job.gas) : "");
    setText(words, problem ?? wordsOf(job));
    const shares = [...(job?.shares.values() ?? [])].sort((a, b) => b.tiles - a.tiles);
    keyed(who, shares, ({ worker }) => worker, shareRow, (row, share) => showShare(row, share, shares[0]?.tiles ?? 1, app.peer?.id ?? null));
  }

  setInterval(() => {
    if (!app.peer || app.consent !== "granted" || document.hidden) return;
    void app.peer.computed().then((now) => {
      computed = now;
      update();
    }, () => undefined);
  }, POLL_MS);
  return { element, update };
}

function wordsOf(job: Job | null): string {
  if (!job) return "Forty tiles, each a WebAssembly task for whoever agreed to compute: other tabs, or a machine with peeredge work.";
  const took = duration((job.endedMs ?? performance.now()) - job.startedMs);
  const runs = `${job.runs} runs for ${count(job.done, "tile")}`;
  const judged = job.refereed > 0 ? `; the relay decided ${job.refereed}` : "";
  if (job.phase === "done") return `Done in ${took}: ${runs}${judged}.`;
  if (job.phase === "stopped") return `Stopped after ${took}: ${runs}.`;
  if (job.done === 0) return "Handed in. It begins when somebody computes: open another tab and agree there.";
  return `${job.done} of ${job.all} tiles after ${took}; ${runs}${judged}.`;
}

function shareRow(): HTMLLIElement {
  return h("li", {}, h("span", { class: "who-name" }), h("span", { class: "who-bar" }, h("i")), h("span", { class: "value" }));
}

function showShare(row: HTMLElement, share: Share, most: number, self: string | null): void {
  const [name, bar, value] = row.children;
  if (!name || !bar || !value) return;
  setText(name, share.worker === self ? "this tab" : shortId(share.worker));
  (bar.firstElementChild as HTMLElement).style.setProperty("inline-size", `${(100 * share.tiles) / most}%`);
  setText(value, `${count(share.tiles, "tile")}, ${gas(share.gas)}`);
}
