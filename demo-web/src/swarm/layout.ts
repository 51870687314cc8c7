import type { SwarmNode } from "./model.ts";

export interface Point {
  x: number;
  y: number;
}

export interface Curve {
  from: Point;
  control: Point;
  to: Point;
}

/** Room for a node's circle and the name below it, in pixels. */
const MARGIN_X = 40;
const MARGIN_TOP = 38;
const MARGIN_BOTTOM = 46;

/**
 * This tab in the middle, servers above it, visitors on an arc below and beside it. A place depends only on how many there are
 * and on their order, so that nothing jumps while rates change.
 */
export function place(nodes: readonly Pick<SwarmNode, "id" | "role">[], width: number, height: number): Map<string, Point> {
  const places = new Map<string, Point>();
  const peers = nodes.filter((node) => node.role === "peer");
  const centre = { x: width / 2, y: MARGIN_TOP + (height - MARGIN_TOP - MARGIN_BOTTOM) * 0.46 };
  const radiusX = Math.max(0, Math.min(width / 2 - MARGIN_X, 300));
  const radiusDown = Math.max(0, height - MARGIN_BOTTOM - centre.y);
  for (const node of nodes) {
    if (node.role === "self") places.set(node.id, centre);
    if (node.role === "relay") places.set(node.id, { x: centre.x - radiusX * 0.42, y: MARGIN_TOP });
    if (node.role === "http") places.set(node.id, { x: centre.x + radiusX * 0.42, y: MARGIN_TOP });
  }
  // Full to the sides, so that names do not collide; as far down as there is room.
  const onArc = (turn: number) => ({ x: centre.x - radiusX * Math.cos(turn), y: centre.y + radiusDown * Math.sin(turn) });
  const points = spread(peers.length, onArc);
  peers.forEach((peer, index) => places.set(peer.id, points[index] ?? centre));
  return places;
}

const STEPS = 120;

/**
 * So many points of an arc, evenly apart along it. An arc's radians go from the left (0) through below to the right (pi); few
 * stay near the bottom, many go up the sides.
 */
function spread(count: number, onArc: (turn: number) => Point): Point[] {
  if (count <= 1) return [onArc(Math.PI / 2)];
  const reach = Math.min(Math.PI * 1.16, Math.PI * (0.42 + 0.11 * count));
  const path = Array.from({ length: STEPS + 1 }, (_, step) => onArc(Math.PI / 2 - reach / 2 + (reach * step) / STEPS));
  const along = [0];
  for (const [step, point] of path.slice(1).entries()) {
    const before = path[step] ?? point;
    along.push((along[step] ?? 0) + Math.hypot(point.x - before.x, point.y - before.y));
  }
  const total = along[STEPS] ?? 0;
  return Array.from({ length: count }, (_, index) => {
    const wanted = (total * index) / (count - 1);
    const step = along.findIndex((length) => length >= wanted - 1e-9);
    return path[step] ?? onArc(Math.PI / 2);
  });
}

/** Where words stand, in pixels. */
export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

export function overlap(a: Box, b: Box): boolean {
  return a.left < b.left + b.width && b.left < a.left + a.width && a.top < b.top + b.height && b.top < a.top + a.height;
}

/**
 * The way from one node's rim to the other's, bent to its own right: two directions never cover each other.
 */
export function curveBetween(from: Point, to: Point, fromRadius: number, toRadius: number, bend = 0.12): Curve {
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  const length = Math.hypot(dx, dy) || 1;
  const control = { x: (from.x + to.x) / 2 - dy * bend, y: (from.y + to.y) / 2 + dx * bend };
  return { from: towards(from, control, Math.min(fromRadius, length / 2)), control, to: towards(to, control, Math.min(toRadius, length / 2)) };
}

/** A point of the curve, `t` from 0 to 1. */
export function at(curve: Curve, t: number): Point {
  const u = 1 - t;
  const mix = (a: number, b: number, c: number) => u * u * a + 2 * u * t * b + t * t * c;
  return { x: mix(curve.from.x, curve.control.x, curve.to.x), y: mix(curve.from.y, curve.control.y, curve.to.y) };
}

export function lengthOf(curve: Curve): number {
  const chord = Math.hypot(curve.to.x - curve.from.x, curve.to.y - curve.from.y);
  const legs =
    Math.hypot(curve.control.x - curve.from.x, curve.control.y - curve.from.y) +
    Math.hypot(curve.to.x - curve.control.x, curve.to.y - curve.control.y);
  return (chord + legs) / 2;
}

/** Pixels of a flow's line; `top`: the fastest flow shown, at least a megabyte a second so that little stays little. */
export function widthOf(bytesPerSecond: number, top: number): number {
  if (bytesPerSecond <= 0) return 1;
  return 1.5 + 5.5 * Math.sqrt(Math.min(1, bytesPerSecond / Math.max(top, 1e6)));
}

function towards(point: Point, goal: Point, by: number): Point {
  const length = Math.hypot(goal.x - point.x, goal.y - point.y) || 1;
  return { x: point.x + ((goal.x - point.x) * by) / length, y: point.y + ((goal.y - point.y) * by) / length };
}
