import { svg, keyed, setAttributes, setText, h } from "../dom.ts";
import { rate } from "../format.ts";
import { at, curveBetween, lengthOf, overlap, place, widthOf, type Box, type Curve, type Point } from "./layout.ts";
import type { Swarm, SwarmEdge, SwarmNode } from "./model.ts";

const RADIUS = { self: 26, peer: 18, relay: 19, http: 19 };
/** More visitors than these are not drawn; the table below lists all. */
const PEERS_MAX_WIDE = 14;
const PEERS_MAX_NARROW = 9;
const NARROW = 420;
const LABEL_HEIGHT = 15;
/** Where along a flow its label may stand, best first. */
const LABEL_PLACES = [0.5, 0.4, 0.6, 0.3];
/** Pixels of a label's letter, near enough. */
const LETTER_WIDTH = 6.3;
const FRAME_MS = 40;
/** Pixels between two dots of a flow. */
const SPACING = 24;

interface Flow {
  curve: Curve;
  length: number;
  via: SwarmEdge["via"];
  bytesPerSecond: number;
  width: number;
  own: boolean;
}

/** The live picture: nodes and arrows as SVG, and dots that travel along the arrows on a canvas above. */
export class SwarmView {
  readonly element: HTMLElement;
  readonly #edges = svg("g");
  readonly #nodes = svg("g");
  readonly #labels = svg("g");
  readonly #more = svg("text", { class: "more", "text-anchor": "end" });
  readonly #ghosts = svg("g", { class: "ghosts" }, svg("circle", { r: 18 }), svg("circle", { r: 18 }), svg("text", { "text-anchor": "middle" }, "Waiting for a second visitor"));
  readonly #svg = svg("svg", { class: "swarm-svg", role: "img", "aria-label": "The swarm" }, this.#ghosts, this.#edges, this.#nodes);
  /** Above the dots, so that figures stay legible. */
  readonly #above = svg("svg", { class: "swarm-svg", "aria-hidden": "true" }, this.#labels, this.#more);
  readonly #canvas = h("canvas", { class: "swarm-dots", "aria-hidden": "true" });
  readonly #still = matchMedia("(prefers-reduced-motion: reduce)");
  readonly #dark = matchMedia("(prefers-color-scheme: dark)");
  #swarm: Swarm = { nodes: [], edges: [] };
  #flows: Flow[] = [];
  #travelled = new Map<string, number>();
  #colours: Record<string, string> = {};
  #size = { width: 0, height: 0 };
  #frame = 0;
  #drawnMs = 0;

  constructor() {
    this.element = h("div", { class: "swarm" }, this.#svg, this.#canvas, this.#above);
    new ResizeObserver(() => this.#resize()).observe(this.element);
    this.#dark.addEventListener("change", () => (this.#colours = {}));
    this.#still.addEventListener("change", () => this.#draw());
  }

  update(swarm: Swarm): void {
    this.#swarm = swarm;
    this.#draw();
  }

  #resize(): void {
    const { clientWidth: width, clientHeight: height } = this.element;
    this.#size = { width, height };
    const scale = Math.min(2, devicePixelRatio || 1);
    this.#canvas.width = Math.round(width * scale);
    this.#canvas.height = Math.round(height * scale);
    this.#canvas.getContext("2d")?.setTransform(scale, 0, 0, scale, 0, 0);
    for (const layer of [this.#svg, this.#above]) setAttributes(layer, { viewBox: `0 0 ${width} ${height}` });
    this.#draw();
  }

  #draw(): void {
    const { width, height } = this.#size;
    if (width === 0) return;
    const { nodes: all, edges } = this.#swarm;
    const nodes = drawable(all, width < NARROW ? PEERS_MAX_NARROW : PEERS_MAX_WIDE);
    this.element.classList.toggle("dense", nodes.length > 8);
    const places = place(nodes, width, height);
    setText(this.#more, all.length > nodes.length ? `and ${all.length - nodes.length} more` : "");
    setAttributes(this.#more, { x: width - 8, y: 14 });
    this.#drawGhosts(nodes, width, height);
    const roles = new Map(nodes.map((node) => [node.id, node]));
    const top = Math.max(0, ...edges.map((edge) => edge.bytesPerSecond));
    const drawn = edges.flatMap((edge) => {
      const from = places.get(edge.from);
      const to = places.get(edge.to);
      const fromNode = roles.get(edge.from);
      const toNode = roles.get(edge.to);
      if (!from || !to || !fromNode || !toNode) return [];
      const flowing = edge.bytesPerSecond > 0;
      // A connection at rest is one straight line, not two.
      if (!flowing && edge.from > edge.to) return [];
      const opposite = edges.find((other) => other.from === edge.to && other.to === edge.from);
      const quiet = !flowing && (opposite?.bytesPerSecond ?? 0) > 0;
      if (quiet) return [];
      const gap = flowing ? 7 : 3;
      const curve = curveBetween(from, to, RADIUS[fromNode.role] + 4, RADIUS[toNode.role] + gap, flowing ? 0.11 : 0);
      return [{ edge, curve, width: widthOf(edge.bytesPerSecond, top) }];
    });

    keyed(
      this.#edges,
      drawn,
      ({ edge }) => `${edge.from}>${edge.to}`,
      () => svg("g", {}, svg("path", { class: "line" }), svg("path", { class: "tip" })),
      (group, { edge, curve, width }) => {
        const state = edge.bytesPerSecond > 0 ? "flowing" : "resting";
        setAttributes(group, { class: `edge ${edge.via} ${state} ${edge.own ? "own" : "others"}` });
        const [line, tip] = group.children;
        if (line) setAttributes(line, { d: pathOf(curve), "stroke-width": width.toFixed(1) });
        if (tip) setAttributes(tip, { d: edge.bytesPerSecond > 0 ? tipOf(curve, width) : "" });
      },
    );
    this.#drawNodes(nodes, places);
    this.#drawLabels(drawn, nodes, places, width);
    setAttributes(this.#svg, { "aria-label": inWords(this.#swarm) });

    this.#flows = drawn
      .filter(({ edge }) => edge.bytesPerSecond > 0)
      .map(({ edge, curve, width }) => ({ curve, length: lengthOf(curve), via: edge.via, bytesPerSecond: edge.bytesPerSecond, width, own: edge.own }));
    this.#animate();
  }

  #drawNodes(nodes: SwarmNode[], places: Map<string, Point>): void {
    keyed(
      this.#nodes,
      nodes,
      (node) => node.id,
      (node) => makeNode(node),
      (group, node) => {
        const { x, y } = places.get(node.id) ?? { x: 0, y: 0 };
        const state = node.blamed ? "blamed" : node.open ? "open" : "away";
        setAttributes(group, { class: `node ${node.role} ${state}`, transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` });
        const ring = group.querySelector(".ring");
        const radius = RADIUS[node.role] + 4;
        const around = 2 * Math.PI * radius;
        if (ring) setAttributes(ring, { "stroke-dasharray": `${((node.share ?? 0) * around).toFixed(1)} ${around.toFixed(1)}` });
        const label = group.querySelector(".name");
        if (label) setText(label, node.label);
      },
    );
  }

  /** The labels that find room: this tab's own first, then the fastest. */
  #drawLabels(drawn: { edge: SwarmEdge; curve: Curve; width: number }[], nodes: SwarmNode[], places: Map<string, Point>, width: number): void {
    const taken = nodes.flatMap((node) => boxesOf(node, places.get(node.id)));
    const labelled = drawn
      .filter(({ edge }) => edge.bytesPerSecond >= 1)
      .sort((a, b) => Number(b.edge.own) - Number(a.edge.own) || b.edge.bytesPerSecond - a.edge.bytesPerSecond)
      .flatMap(({ edge, curve, width: thick }) => {
        const words = rate(edge.bytesPerSecond);
        const boxes = LABEL_PLACES.map((t) => beside(curve, t, thick, words.length * LETTER_WIDTH, width));
        const free = boxes.find((box) => !taken.some((other) => overlap(box, other)));
        if (!free) return [];
        taken.push(free);
        return [{ edge, words, box: free }];
      });
    keyed(
      this.#labels,
      labelled,
      ({ edge }) => `${edge.from}>${edge.to}`,
      () => svg("text", { dy: "0.35em" }),
      (text, { edge, words, box }) => {
        setAttributes(text, { class: `rate ${edge.via}`, x: box.left.toFixed(1), y: (box.top + box.height / 2).toFixed(1) });
        setText(text, words);
      },
    );
  }

  /** Places that are still free. */
  #drawGhosts(nodes: SwarmNode[], width: number, height: number): void {
    const alone = nodes.length > 0 && !nodes.some((node) => node.role === "peer");
    setAttributes(this.#ghosts, { visibility: alone ? "visible" : "hidden" });
    if (!alone) return;
    const free = [...nodes, { id: "left", role: "peer" as const }, { id: "right", role: "peer" as const }];
    const places = place(free, width, height);
    const [left, right, words] = this.#ghosts.children;
    for (const [circle, id] of [[left, "left"], [right, "right"]] as const) {
      const point = places.get(id);
      if (circle && point) setAttributes(circle, { cx: point.x.toFixed(1), cy: point.y.toFixed(1) });
    }
    if (words) setAttributes(words, { x: width / 2, y: height - 12 });
  }

  #animate(): void {
    const context = this.#canvas.getContext("2d");
    if (this.#still.matches || this.#flows.length === 0) {
      cancelAnimationFrame(this.#frame);
      this.#frame = 0;
      context?.clearRect(0, 0, this.#size.width, this.#size.height);
      return;
    }
    if (!this.#frame) this.#frame = requestAnimationFrame((now) => this.#step(now));
  }

  /** Twenty-five pictures a second are enough for dots, and leave the processor to the transfer. */
  #step(nowMs: number): void {
    this.#frame = requestAnimationFrame((now) => this.#step(now));
    const elapsedMs = nowMs - this.#drawnMs;
    if (elapsedMs < FRAME_MS) return;
    this.#drawnMs = nowMs;
    const context = this.#canvas.getContext("2d");
    if (!context) return;
    context.clearRect(0, 0, this.#size.width, this.#size.height);
    const top = Math.max(1e6, ...this.#flows.map((flow) => flow.bytesPerSecond));
    for (const [index, flow] of this.#flows.entries()) {
      const key = String(index);
      const speed = 30 + 150 * Math.sqrt(flow.bytesPerSecond / top);
      const offset = ((this.#travelled.get(key) ?? 0) + (speed * Math.min(elapsedMs, 200)) / 1000) % SPACING;
      this.#travelled.set(key, offset);
      context.fillStyle = this.#colour(flow.via);
      context.globalAlpha = flow.own ? 1 : 0.55;
      for (let along = offset; along < flow.length - 6; along += SPACING) {
        const { x, y } = at(flow.curve, along / flow.length);
        context.beginPath();
        context.arc(x, y, 1.6 + flow.width * 0.3, 0, 2 * Math.PI);
        context.fill();
      }
    }
    context.globalAlpha = 1;
  }

  #colour(via: string): string {
    return (this.#colours[via] ??= getComputedStyle(this.element).getPropertyValue(`--${via}`).trim() || "#888");
  }
}

function makeNode(node: SwarmNode): SVGGElement {
  const radius = RADIUS[node.role];
  const group = svg("g");
  if (node.role === "relay" || node.role === "http") {
    group.append(svg("rect", { class: "body", x: -radius, y: -radius, width: 2 * radius, height: 2 * radius, rx: 7 }));
    group.append(
      node.role === "relay"
        ? svg("path", { class: "glyph", d: "M-8 -4.5h16M-8 4.5h16M-4.5 -8.5l-3.8 4 3.8 4M4.5 .5l3.8 4-3.8 4" })
        : svg("path", { class: "glyph", d: "M-8 -5.5h16v11h-16zM-8 -1.5h16M-5 2.2h6" }),
    );
  } else {
    group.append(svg("circle", { class: "track", r: radius + 4 }));
    group.append(svg("circle", { class: "ring", r: radius + 4, transform: "rotate(-90)" }));
    group.append(svg("circle", { class: "body", r: radius }));
    if (node.role === "self") group.append(svg("text", { class: "you", "text-anchor": "middle", dy: "0.35em" }, "You"));
    else group.append(svg("path", { class: "glyph", d: "M-7 -5.5h14v9h-14zM-3.5 6.8h7" }), svg("path", { class: "glyph crossed", d: "M-12 12 12 -12" }));
  }
  if (node.role !== "self") {
    const above = node.role !== "peer";
    group.append(svg("text", { class: "name", "text-anchor": "middle", y: above ? -radius - 7 : radius + 19 }));
  }
  return group;
}

function pathOf({ from, control, to }: Curve): string {
  return `M${from.x.toFixed(1)} ${from.y.toFixed(1)}Q${control.x.toFixed(1)} ${control.y.toFixed(1)} ${to.x.toFixed(1)} ${to.y.toFixed(1)}`;
}

/** An arrow's head at the curve's end. */
function tipOf({ control, to }: Curve, width: number): string {
  const length = Math.hypot(to.x - control.x, to.y - control.y) || 1;
  const x = (to.x - control.x) / length;
  const y = (to.y - control.y) / length;
  const size = 5 + width * 0.9;
  const point = (along: number, across: number) =>
    `${(to.x + x * along - y * across).toFixed(1)} ${(to.y + y * along + x * across).toFixed(1)}`;
  return `M${point(3, 0)}L${point(-size, size * 0.62)}L${point(-size, -size * 0.62)}Z`;
}

/** Beside a point of the curve, on its outer side, where the opposite flow is not. */
function beside(curve: Curve, t: number, thick: number, labelWidth: number, width: number): Box {
  const { x, y } = at(curve, t);
  const dx = curve.to.x - curve.from.x;
  const dy = curve.to.y - curve.from.y;
  const length = Math.hypot(dx, dy) || 1;
  const out = { x: -dy / length, y: dx / length };
  const away = thick / 2 + 7;
  const middle = { x: x + out.x * (away + labelWidth / 2), y: y + out.y * (away + 4) };
  return { left: clamp(middle.x - labelWidth / 2, 2, width - 2 - labelWidth), top: middle.y - LABEL_HEIGHT / 2, width: labelWidth, height: LABEL_HEIGHT };
}

/** What a node covers: its body, and its name. */
function boxesOf(node: SwarmNode, point: Point | undefined): Box[] {
  if (!point) return [];
  const radius = RADIUS[node.role] + 4;
  const body = { left: point.x - radius, top: point.y - radius, width: 2 * radius, height: 2 * radius };
  if (node.role === "self") return [body];
  const nameWidth = 8 * node.label.length;
  const top = node.role === "peer" ? point.y + radius : point.y - radius - 14;
  return [body, { left: point.x - nameWidth / 2, top, width: nameWidth, height: 17 }];
}

/** Everything but the visitors beyond a number; who lied is never left out. */
function drawable(nodes: SwarmNode[], peersMax: number): SwarmNode[] {
  let room = peersMax - nodes.filter((node) => node.blamed).length;
  return nodes.filter((node) => node.role !== "peer" || node.blamed || room-- > 0);
}

function inWords({ nodes, edges }: Swarm): string {
  const label = (id: string) => nodes.find((node) => node.id === id)?.label ?? id;
  const flows = edges.filter((edge) => edge.bytesPerSecond >= 1).map((edge) => `${label(edge.from)} to ${label(edge.to)} ${rate(edge.bytesPerSecond)}`);
  const peers = nodes.filter((node) => node.role === "peer").length;
  return `The swarm: ${peers} other visitors. ${flows.length ? `${flows.join(", ")}.` : "Nothing flows."}`;
}

function clamp(value: number, min: number, max: number): number {
  return Math.min(Math.max(value, min), max);
}
