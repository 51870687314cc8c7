import type { Stats } from "peeredge";
import { describe, expect, it } from "vitest";
import { at, curveBetween, lengthOf, overlap, place, widthOf } from "../src/swarm/layout.ts";
import { swarmOf, type TabPeer, type TabReport } from "../src/swarm/model.ts";

const STATS = { relayConnected: true } as Stats;
const NOBODY = new Set<string>();

function peer(id: string, down = 0, up = 0, isRelay = false): TabPeer {
  return { peer: id, isRelay, open: true, downBytesPerSecond: down, upBytesPerSecond: up };
}

function tab(id: string, peers: TabPeer[], httpBytesPerSecond = 0): TabReport {
  return { id, content: "film", share: 0.5, httpBytesPerSecond, peers };
}

describe("who sends to whom", () => {
  it("joins what this tab sees", () => {
    const { nodes, edges } = swarmOf(tab("me", [peer("anna", 100, 20), peer("r", 50, 0, true)], 7), STATS, [], NOBODY);
    expect(nodes.map(({ id, role }) => [id, role])).toEqual([["self", "self"], ["relay", "relay"], ["http", "http"], ["anna", "peer"]]);
    const flows = Object.fromEntries(edges.map((edge) => [`${edge.from}>${edge.to}`, edge.bytesPerSecond]));
    expect(flows).toEqual({ "anna>self": 100, "self>anna": 20, "relay>self": 50, "self>relay": 0, "http>self": 7 });
    expect(edges.every((edge) => edge.own)).toBe(true);
  });

  it("adds flows between others, and believes itself first", () => {
    const own = tab("me", [peer("anna", 100, 0)]);
    const anna = tab("anna", [peer("me", 0, 999), peer("bert", 30, 0)]);
    const bert = tab("bert", [peer("anna", 0, 40)]);
    const { nodes, edges } = swarmOf(own, STATS, [anna, bert], NOBODY);
    const of = (from: string, to: string) => edges.find((edge) => edge.from === from && edge.to === to);
    expect(of("anna", "self")?.bytesPerSecond).toBe(100);
    expect(of("bert", "anna")).toMatchObject({ bytesPerSecond: 40, own: false });
    expect(nodes.filter(({ role }) => role === "peer").map(({ id, share }) => [id, share])).toEqual([["anna", 0.5], ["bert", 0.5]]);
  });

  it("shows no share of another content", () => {
    const other = { ...tab("anna", []), content: "song" };
    const { nodes } = swarmOf(tab("me", [peer("anna")]), STATS, [other], NOBODY);
    expect(nodes.find(({ id }) => id === "anna")?.share).toBeNull();
  });

  it("keeps who lied in the picture", () => {
    const { nodes, edges } = swarmOf(tab("me", []), STATS, [], new Set(["mallory"]));
    expect(nodes.find(({ id }) => id === "mallory")).toMatchObject({ blamed: true, open: false });
    expect(edges).toEqual([]);
  });
});

describe("where nodes stand", () => {
  const nodesOf = (peers: number) => [
    { id: "self", role: "self" as const },
    { id: "relay", role: "relay" as const },
    { id: "http", role: "http" as const },
    ...Array.from({ length: peers }, (_, index) => ({ id: `p${index}`, role: "peer" as const })),
  ];

  it("keeps everything inside, and apart, on a phone and on a desktop", () => {
    for (const [width, height, most] of [[328, 280, 6], [328, 400, 9], [500, 360, 8], [620, 420, 14]] as const) {
      for (let peers = 0; peers <= most; peers++) {
        const places = [...place(nodesOf(peers), width, height).entries()];
        expect(places).toHaveLength(3 + peers);
        for (const [id, { x, y }] of places) {
          expect(x, id).toBeGreaterThanOrEqual(22);
          expect(x, id).toBeLessThanOrEqual(width - 22);
          expect(y, id).toBeGreaterThanOrEqual(22);
          expect(y, id).toBeLessThanOrEqual(height - 40);
        }
        for (const [index, [, a]] of places.entries()) {
          for (const [id, b] of places.slice(index + 1)) expect(Math.hypot(a.x - b.x, a.y - b.y), `${peers} ${id}`).toBeGreaterThan(42);
        }
      }
    }
  });

  it("moves nobody when only rates change", () => {
    expect(place(nodesOf(5), 500, 360)).toEqual(place(nodesOf(5), 500, 360));
  });

  it("bends the two directions of one connection apart", () => {
    const a = { x: 0, y: 0 };
    const b = { x: 100, y: 0 };
    const there = at(curveBetween(a, b, 10, 10), 0.5);
    const back = at(curveBetween(b, a, 10, 10), 0.5);
    expect(there.y).toBeGreaterThan(3);
    expect(back.y).toBeLessThan(-3);
  });

  it("starts and ends at the rims, and is about as long as it looks", () => {
    const curve = curveBetween({ x: 0, y: 0 }, { x: 100, y: 0 }, 10, 20, 0);
    expect(curve.from.x).toBeCloseTo(10);
    expect(curve.to.x).toBeCloseTo(80);
    expect(lengthOf(curve)).toBeCloseTo(70);
  });

  it("draws a faster flow wider, within bounds", () => {
    const widths = [0, 1e4, 1e6, 5e6].map((rate) => widthOf(rate, 5e6));
    expect([...widths].sort((a, b) => a - b)).toEqual(widths);
    expect(widths[0]).toBe(1);
    expect(widths[3]).toBe(7);
    expect(widthOf(1000, 1000)).toBeLessThan(2);
  });

  it("sees when words would cover words", () => {
    const box = { left: 0, top: 0, width: 10, height: 10 };
    expect(overlap(box, { ...box, left: 9, top: 9 })).toBe(true);
    expect(overlap(box, { ...box, left: 10 })).toBe(false);
  });
});
