// What the package reads of strangers' making, given what is almost right: never another error than its own, and what is taken is
// what it says. Seeded: a case that fails is the same each time.
import { describe, expect, test } from "vitest";
import { PeerEdgeError } from "../../../js/src/errors.js";
import { contentOf, contentOfIdOrLink, originOf } from "../../../js/src/link.js";
import { liveLink, liveOf } from "../../../js/src/live.js";
import { describe as headersOf, plainName, safeMediaType } from "../../../js/src/media-type.js";
import { rangeOf } from "../../../js/src/range.js";
import { CANDIDATES_MAX, readCandidate, readSignal } from "../../../js/src/signals.js";
import { decodeState, encodeState } from "../../../js/src/store/opfs-folder.js";
import { cleaned, rangeIn, stateOf } from "../../../js/src/sw/checks.js";
import { decode, encode, PAGE_BYTES } from "../../../js/src/tasks/checkpoint.js";

/** A number below `bound`, from a stream that depends on its seed only (SplitMix32). */
function diceOf(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state = (state + 0x9e37_79b9) | 0;
    let z = Math.imul(state ^ (state >>> 16), 0x21f0_aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a_2d97);
    return ((z ^ (z >>> 15)) >>> 0) % bound;
  };
}

/** Bytes or characters, changed in a few places: one replaced, cut off, a part left out, repeated or taken from another. */
function change<T>(dice: (bound: number) => number, valid: readonly T[][], odd: () => T): T[] {
  const units = [...valid[dice(valid.length)]!];
  for (let times = dice(3); times >= 0; times--) {
    const at = dice(units.length + 1);
    const some = 1 + dice(12);
    const kind = dice(6);
    if (kind === 0) units[at] = odd();
    else if (kind === 1) units.splice(at, 0, odd(), odd());
    else if (kind === 2) units.length = Math.min(units.length, at);
    else if (kind === 3) units.splice(at, some);
    else if (kind === 4) units.splice(at, 0, ...units.slice(at, at + some));
    else units.splice(at, some, ...valid[dice(valid.length)]!.slice(at, at + some));
  }
  return units;
}

const ODD = ["\0", "\r\n", "\n", " ", '"', "'", "=", ":", ";", ",", "/", "%", "%f", "-1", "0", "9".repeat(20), "\ud800", "\u202e", "ü", "<", "]", "{", "a=", "\\"];

/** Gives `judge` so many texts made of the valid ones; the valid ones come first as they are. */
function texts(seed: number, cases: number, valid: string[], judge: (text: string) => void): void {
  const dice = diceOf(seed);
  const units = valid.map((text) => [...text]);
  for (let number = 0; number < cases; number++) {
    const text = valid[number] ?? change(dice, units, () => ODD[dice(ODD.length)]!).join("");
    try {
      judge(text);
    } catch (error) {
      throw new Error(`seed ${seed}, case ${number}: ${JSON.stringify(text)}`, { cause: error });
    }
  }
}

/** The same for bytes. */
function bytes(seed: number, cases: number, valid: Uint8Array[], judge: (bytes: Uint8Array) => void): void {
  const dice = diceOf(seed);
  const units = valid.map((bytes) => [...bytes]);
  for (let number = 0; number < cases; number++) {
    judge(Uint8Array.from(valid[number] ?? change(dice, units, () => dice(256))));
  }
}

/** What a reader gave, or nothing where it threw the package's own error. */
function own<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof PeerEdgeError) return null;
    throw error;
  }
}

const HEX = Array.from({ length: 32 }, (_, at) => (at + 160).toString(16).toUpperCase()).join(":");
const CANDIDATE = "candidate:4087252484 1 udp 2113937151 192.0.2.7 49510 typ host generation 0 network-cost 999";
const SDP = [
  "v=0", "o=- 8232972783871587422 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0", "a=msid-semantic: WMS",
  "m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0", `a=${CANDIDATE}`, "a=ice-ufrag:wcO5",
  "a=ice-pwd:0ZGGERUwZqFDtzKy2elhA9d4", `a=fingerprint:sha-256 ${HEX}`, "a=setup:actpass", "a=mid:0", "a=sctp-port:5000", "",
].join("\r\n");
const ID = `${"a".repeat(51)}q`;

describe("a fuzz of", () => {
  test("signals: one data section, and candidates of single hosts over UDP", () => {
    let [descriptions, candidates] = [0, 0];
    const signals = [
      { type: "offer", sdp: SDP },
      { type: "answer", sdp: SDP.replace("actpass", "active") },
      { type: "candidate", candidate: CANDIDATE, mid: "0" },
      { type: "candidate", candidate: "", mid: null },
    ];
    // Most changes are to be in the description, and not in the JSON around it.
    const judge = (text: string) => {
      const signal = readSignal(text);
      if (!signal) return;
      if (signal.type === "candidate") {
        candidates += 1;
        expect(signal.candidate === "" || / 1 udp /i.test(signal.candidate)).toBe(true);
        return;
      }
      descriptions += 1;
      const lines = signal.sdp.split("\r\n");
      expect(lines.filter((line) => line.startsWith("m="))).toEqual([expect.stringContaining("webrtc-datachannel")]);
      expect(lines.filter((line) => line.startsWith("a=candidate:")).length).toBeLessThanOrEqual(CANDIDATES_MAX);
      expect(signal.sdp).toMatch(/^[\r\n\x20-\x7e]*$/);
      expect(signal.sdp).not.toMatch(/rtpmap|ssrc| tcp /);
    };
    texts(1, 6000, signals.map((signal) => JSON.stringify(signal)), judge);
    texts(2, 12_000, [SDP], (sdp) => judge(JSON.stringify({ type: "offer", sdp })));
    texts(3, 12_000, [CANDIDATE], (candidate) => judge(JSON.stringify({ type: "candidate", candidate })));
    expect(Math.min(descriptions, candidates)).toBeGreaterThan(500);
    texts(4, 6000, [CANDIDATE], (text) => expect(["string", "object"]).toContain(typeof readCandidate(text)));
  });

  test("media types and names: nothing that runs, and nothing that leaves its header", () => {
    const types = ["video/mp4; codecs=\"avc1.42E01E, mp4a.40.2\"", "text/plain", "text/html", "image/svg+xml", "application/octet-stream"];
    texts(5, 20_000, types, (text) => {
      const { type } = safeMediaType(text);
      expect(type).toMatch(/^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:; charset=utf-8|; codecs="[\w.,+ -]{1,100}")?$/);
      expect(type).not.toMatch(/html|xml|svg|script|css|wasm/);
    });
    texts(6, 20_000, ["ein Film.mp4", "gnp.\u202eexe", "a\r\nset-cookie: b"], (name) => {
      const headers = new Headers(headersOf(ID, name, "video/mp4"));
      expect(headers.get("content-disposition")).toMatch(/^inline(?:; filename\*=UTF-8''[\w.~!%-]+)?$/);
      expect(plainName(plainName(name))).toBe(plainName(name));
    });
  });

  test("links and addresses: an id of 52 characters, or our own error", () => {
    let links = 0;
    texts(7, 20_000, [`peeredge:${ID}`, `https://relay.example/c/${ID}/a%20name`, ID, ` http://[::1]:8080/c/${ID}?x `], (text) => {
      for (const read of [contentOf, contentOfIdOrLink]) {
        const id = own(() => read(text));
        if (id !== null) expect(id).toMatch(/^[a-z2-7]{51}[aq]$/);
        links += Number(id !== null);
      }
      const live = own(() => liveOf(text.replace("peeredge:", "peeredge-live:").concat("/match")));
      if (live) expect(own(() => liveOf(liveLink(live)))).toEqual(live);
      const origin = own(() => originOf(text));
      if (origin !== null) expect(origin).toMatch(/^https?:\/\//);
    });
    expect(links).toBeGreaterThan(1000);
  });

  test("ranges: whole numbers in order, or none", () => {
    let ranges = 0;
    texts(8, 20_000, ["bytes=0-0", "bytes=500-", "bytes=-500", "bytes 0-9/10", "bytes 0-9/*", "bytes=0-1,5-6"], (text) => {
      const range = own(() => rangeOf({ headers: { range: text.replace(/[^\x20-\x7e]/g, " ") } }));
      if (range) {
        expect("last" in range ? range.last >= 0 : (range.end ?? range.start) >= range.start).toBe(true);
        ranges += 1;
      }
      const given = rangeIn(text);
      if (given) expect(given.start <= given.last).toBe(true);
    });
    expect(ranges).toBeGreaterThan(500);
  });

  test("what a page tells the service worker: routes and headers that are such, or nothing", () => {
    const state = { routes: { "https://site.example/a.mp4": `peeredge:${ID}` }, patience: { takeMs: 500, stallMs: 1500 } };
    const headers = [["content-type", "text/html"], ["set-cookie", "a=b"], ["etag", '"x"']];
    let states = 0;
    texts(9, 12_000, [JSON.stringify(state), JSON.stringify(headers), "null", "[[]]", "[null]"], (text) => {
      let value: unknown;
      try {
        value = JSON.parse(text);
      } catch {
        return;
      }
      const read = stateOf(value);
      states += Number(read !== null);
      for (const link of Object.values(read?.routes ?? {})) expect(link).toContain(ID.slice(0, 5));
      const given = cleaned(value);
      expect(given.get("set-cookie")).toBeNull();
      expect(given.get("content-type")).not.toMatch(/html|script/);
    });
    expect(states).toBeGreaterThan(100);
  });

  test("states in the store: what is taken is written again as it came", () => {
    const content = ID;
    const valid = [encodeState(3, content, Uint8Array.from([1, 2, 3])), encodeState(2 ** 32 - 1, content, new Uint8Array(100))];
    bytes(10, 20_000, valid, (bytes) => {
      const found = decodeState(bytes);
      if (found) expect(encodeState(found.sequence, found.content, found.state)).toEqual(bytes);
    });
  });

  test("checkpoints of tasks: what is taken is written again as it came, within the memory that was allowed", () => {
    const memory = new Uint8Array(2 * PAGE_BYTES);
    memory[70] = 9;
    const valid = [encode({ steps: 3, gas: 2n ** 40n, globals: [5n], memory }), encode({ steps: 0, gas: 0n, globals: [], memory: new Uint8Array(0) })];
    const dice = diceOf(11);
    let taken = 0;
    for (let number = 0; number < 400; number++) {
      const bytes = valid[dice(2)]!.slice();
      // In the head and the marks, where the numbers are.
      for (let times = dice(3); times > 0; times--) bytes[dice(Math.min(bytes.length, 48))] = dice(256);
      const cut = dice(4) === 0 ? bytes.subarray(0, dice(bytes.length + 1)) : bytes;
      const state = decode(cut, 4);
      if (!state) continue;
      taken += 1;
      expect(state.memory.length).toBeLessThanOrEqual(4 * PAGE_BYTES);
      expect(Buffer.compare(encode(state), cut)).toBe(0);
    }
    expect(taken).toBeGreaterThan(50);
  });
});
