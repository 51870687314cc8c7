import type { ActiveBlock, ContentStats } from "peeredge";
import type { App } from "../app.ts";
import { cellsOf, gridFor, heldOf, holds } from "../blocks/grid.ts";
import { h, keyed, setText } from "../dom.ts";
import { bytes, count } from "../format.ts";
import { card } from "./parts.ts";

const MAP_HEIGHT_MAX = 150;
const ZOOMED_MAX = 4;

/** Which blocks are held, and the symbols of those that are being filled. */
export function blocksView(app: App): { element: HTMLElement; update(): void } {
  const canvas = h("canvas", { class: "map", role: "img" });
  const zooms = h("ul", { class: "zooms" });
  const idle = h("p", { class: "hint" });
  const aside = h("span", { class: "aside" });
  const legend = h(
    "p",
    { class: "legend", "aria-hidden": "true" },
    h("span", {}, h("i", { class: "swatch whole" }), "whole, verified"),
    h("span", {}, h("i", { class: "swatch part" }), "filling"),
    h("span", {}, h("i", { class: "swatch coded" }), "coded, in quarantine"),
  );
  const element = card("blocks", "Blocks and symbols", aside, canvas, legend, zooms, idle);
  let width = 0;
  let shown: ContentStats | null = null;
  const redraw = () => drawMap(canvas, shown, width);
  new ResizeObserver(() => {
    width = Math.max(0, element.clientWidth - 40);
    redraw();
  }).observe(element);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

  return {
    element,
    update() {
      const contents = app.stats?.contents ?? [];
      const wanted = app.transfer?.content ?? null;
      shown = contents.find(({ content }) => content === wanted) ?? (app.transfer ? null : (contents[0] ?? null));
      redraw();
      const blocks = shown?.blocks.length ?? 0;
      const whole = shown?.blocks.reduce((sum, share) => sum + Number(share === 255), 0) ?? 0;
      const size = shown && blocks ? bytesOfBlock(shown) : 0;
      setText(aside, blocks ? `${whole} of ${count(blocks, "block")}` : "");
      canvas.hidden = legend.hidden = blocks === 0;
      canvas.setAttribute("aria-label", `${whole} of ${blocks} blocks are whole`);
      const active = zoomed(shown?.active ?? []);
      keyed(zooms, active, ({ block }) => String(block), makeZoom, updateZoom);
      zooms.hidden = active.length === 0;
      idle.hidden = active.length > 0;
      setText(idle, blocks === 0 ? "Once a content is known, its blocks fill here, and the symbols of each." : `No block is being filled. Each holds ${bytes(size)}, hashed symbol by symbol.`);
    },
  };
}

/** A few of the blocks that are being filled: those of which something has come, if there are any. */
function zoomed(active: readonly ActiveBlock[]): ActiveBlock[] {
  const begun = active.filter(({ held, symbols, quarantined }) => quarantined > 0 || heldOf(held, symbols) > 0);
  return (begun.length ? begun : active).slice(0, ZOOMED_MAX);
}

/** As the layout has it: all blocks but the last one are of one size, a power of two. */
function bytesOfBlock({ length, blocks }: ContentStats): number {
  return Math.min(length, 2 ** Math.ceil(Math.log2(length / blocks.length)));
}

function drawMap(canvas: HTMLCanvasElement, content: ContentStats | null, width: number): void {
  if (!content || content.blocks.length === 0 || width === 0) return;
  const { columns, rows, cell, gap, perCell } = gridFor(content.blocks.length, width, MAP_HEIGHT_MAX);
  const context = sized(canvas, width, rows * (cell + gap) - gap);
  const { track, full, edge } = colours();
  const active = new Set(content.active.map(({ block }) => Math.floor(block / perCell)));
  const corner = cell >= 14 ? 4 : cell >= 8 ? 2 : 1;
  cellsOf(content.blocks, perCell).forEach((share, index) => {
    const x = (index % columns) * (cell + gap);
    const y = Math.floor(index / columns) * (cell + gap);
    context.fillStyle = track;
    box(context, x, y, cell, cell, corner);
    if (share > 0) {
      const height = share >= 1 ? cell : Math.max(2, Math.round(cell * share));
      context.fillStyle = full;
      context.globalAlpha = share >= 1 ? 1 : 0.55;
      box(context, x, y + cell - height, cell, height, Math.min(corner, height / 2));
      context.globalAlpha = 1;
    }
    if (active.has(index) && cell >= 8) {
      context.strokeStyle = edge;
      context.lineWidth = 1.5;
      context.beginPath();
      context.roundRect(x + 0.75, y + 0.75, cell - 1.5, cell - 1.5, corner);
      context.stroke();
    }
  });
}

function makeZoom(): HTMLLIElement {
  return h("li", { class: "zoom" }, h("p", { class: "zoom-words" }), h("canvas", { "aria-hidden": "true" }));
}

function updateZoom(item: HTMLLIElement, { block, symbols, held, quarantined }: ActiveBlock): void {
  const [words, canvas] = item.children;
  if (words) {
    const coded = quarantined ? ` · ${quarantined} coded` : "";
    setText(words, `Block ${block} · ${heldOf(held, symbols)}/${symbols}${coded}`);
  }
  if (!(canvas instanceof HTMLCanvasElement)) return;
  const columns = symbols > 64 ? 32 : 16;
  const cell = symbols > 64 ? 6 : 7;
  const gap = symbols > 64 ? 1 : 2;
  const rows = Math.ceil((symbols + quarantined) / columns);
  const context = sized(canvas, columns * (cell + gap) - gap, rows * (cell + gap) - gap);
  const { track, full, coded } = colours();
  for (let at = 0; at < symbols + quarantined; at++) {
    // Coded symbols have no place among the source symbols: they stand behind them.
    context.fillStyle = at >= symbols ? coded : holds(held, at) ? full : track;
    box(context, (at % columns) * (cell + gap), Math.floor(at / columns) * (cell + gap), cell, cell, cell > 5 ? 1.5 : 0.5);
  }
}

function sized(canvas: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D {
  const scale = Math.min(2, devicePixelRatio || 1);
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.style.setProperty("inline-size", `${width}px`);
    canvas.style.setProperty("block-size", `${height}px`);
  }
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser draws nothing on canvases");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

function box(context: CanvasRenderingContext2D, x: number, y: number, width: number, height: number, corner: number): void {
  context.beginPath();
  context.roundRect(x, y, width, height, corner);
  context.fill();
}

function colours(): { track: string; full: string; edge: string; coded: string } {
  const style = getComputedStyle(document.documentElement);
  const of = (name: string) => style.getPropertyValue(name).trim();
  return { track: of("--track"), full: of("--peers"), edge: of("--ink"), coded: of("--http") };
}
