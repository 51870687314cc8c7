import type { Stats } from "peeredge";
import { shortId } from "../format.ts";

export const SELF = "self";
export const HTTP = "http";

export interface SwarmNode {
  id: string;
  role: "self" | "peer" | "relay" | "http";
  label: string;
  /** Whether something can flow to or from it now. */
  open: boolean;
  /** Of the shown content, 0 to 1; null where it is not known. */
  share: number | null;
  blamed: boolean;
}

export interface SwarmEdge {
  from: string;
  to: string;
  via: "peer" | "relay" | "http";
  bytesPerSecond: number;
  /** Whether this tab is one of its ends. */
  own: boolean;
}

export interface Swarm {
  nodes: SwarmNode[];
  edges: SwarmEdge[];
}

/** What a tab sees of its connections. Tabs of one browser tell each other, see gossip.ts. */
export interface TabReport {
  id: string;
  /** Content shown, and the share of it that is held, 0 to 1. */
  content: string | null;
  share: number | null;
  httpBytesPerSecond: number;
  peers: TabPeer[];
}

export interface TabPeer {
  peer: string;
  isRelay: boolean;
  open: boolean;
  downBytesPerSecond: number;
  upBytesPerSecond: number;
}

/** The picture: what this tab sees itself, and what other tabs of this browser have told. */
export function swarmOf(own: TabReport, stats: Stats, others: readonly TabReport[], blamed: ReadonlySet<string>): Swarm {
  const nodes = new Map<string, SwarmNode>();
  const edges = new Map<string, SwarmEdge>();
  const relay = own.peers.find((peer) => peer.isRelay)?.peer ?? others.flatMap((tab) => tab.peers).find((peer) => peer.isRelay)?.peer;
  const nameOf = (id: string) => (id === own.id ? SELF : id === relay ? "relay" : id);
  const shareOf = new Map(others.map((tab) => [tab.id, tab.content === own.content ? tab.share : null]));

  nodes.set(SELF, { id: SELF, role: "self", label: "You", open: true, share: own.share, blamed: false });
  nodes.set("relay", { id: "relay", role: "relay", label: "Relay", open: stats.relayConnected, share: null, blamed: false });
  nodes.set(HTTP, { id: HTTP, role: "http", label: "HTTP", open: own.httpBytesPerSecond > 0, share: null, blamed: false });

  const flow = (from: string, to: string, via: SwarmEdge["via"], bytesPerSecond: number, mine: boolean) => {
    const key = `${from}>${to}`;
    const before = edges.get(key);
    // Both ends report one flow. This tab's own word goes first: it is the fresher one.
    if (before?.own && !mine) return;
    const rate = mine || !before ? bytesPerSecond : Math.max(before.bytesPerSecond, bytesPerSecond);
    edges.set(key, { from, to, via, bytesPerSecond: rate, own: from === SELF || to === SELF });
  };

  for (const tab of [own, ...others]) {
    const mine = tab === own;
    const here = nameOf(tab.id);
    if (!nodes.has(here)) {
      nodes.set(here, { id: here, role: "peer", label: shortId(tab.id), open: true, share: shareOf.get(tab.id) ?? null, blamed: blamed.has(tab.id) });
    }
    for (const peer of tab.peers) {
      const there = nameOf(peer.peer);
      const via = there === "relay" ? "relay" : "peer";
      if (!nodes.has(there)) {
        const share = shareOf.get(peer.peer) ?? null;
        nodes.set(there, { id: there, role: "peer", label: shortId(peer.peer), open: peer.open, share, blamed: blamed.has(peer.peer) });
      }
      flow(there, here, via, peer.open ? peer.downBytesPerSecond : 0, mine);
      flow(here, there, via, peer.open ? peer.upBytesPerSecond : 0, mine);
    }
    flow(HTTP, here, "http", tab.httpBytesPerSecond, mine);
  }
  // Who lied stays in the picture, apart from everybody.
  for (const id of blamed) {
    if (!nodes.has(id)) nodes.set(id, { id, role: "peer", label: shortId(id), open: false, share: null, blamed: true });
  }
  return { nodes: [...nodes.values()], edges: [...edges.values()].filter((edge) => edge.via !== "http" || edge.bytesPerSecond > 0) };
}
