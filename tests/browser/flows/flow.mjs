// What several flows need: files with the bytes that a seed makes, who holds what, and tabs that lie.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../harness.mjs";
import { randomBytes } from "../random.mjs";

export const MIB = 1 << 20;
export const SYMBOL_BYTES = 16 << 10;

/** A file with the bytes that `seed` makes, under the name that a tab's publish gives by default: so both make one link. */
export function randomFile(seed, length) {
  const path = join(temporaryFolder("file"), "random.bin");
  writeFileSync(path, randomBytes(seed, length));
  return path;
}

/** The link of the relay's first content, once it has published it. */
export function publishedLink(relay) {
  const links = async () => (await (await fetch(`${relay.url}/api/contents`)).json())[0]?.link;
  return eventually(links, "the relay publishes its file");
}

/** What a tab's stats say of a content. */
export async function contentOf(tab, content) {
  return (await tab.stats()).contents.find((entry) => entry.content === content);
}

/** Whether these peers' holdings of one content, put together, are all of it. */
export function isWholeTogether(held) {
  return held[0].blocks.every((_, block) => {
    if (held.some((one) => one.blocks[block] === 255)) return true;
    const parts = held.map((one) => one.active.find((entry) => entry.block === block)).filter(Boolean);
    const has = (index) => parts.some((part) => (part.held[index >> 3] >> (index & 7)) & 1);
    return parts.length > 0 && Array.from({ length: parts[0].symbols }, (_, index) => index).every(has);
  });
}

/** Resolves when `condition` gives something true, and with that. */
export async function eventually(condition, what, timeoutMs = 60_000) {
  for (const until = performance.now() + timeoutMs; performance.now() < until; ) {
    const found = await condition();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`${what}: not within ${timeoutMs} ms`);
}

/** The code and message with which a page's promise rejects. */
export const refusal = (promise) =>
  promise.then(() => "no error", (error) => error.message.split("\n")[0].replace("page.evaluate: Error: ", ""));

/**
 * A tab whose peer lies: `tamper(frame)` changes each frame before it is sent, as {@link LIES} do. The peer itself is the real
 * one, on the page's thread, where its data channels can be reached.
 */
export async function liar(stage, lie, argument = null) {
  const tab = await stage.tab();
  await tab.run(
    ([source, argument]) => {
      const tamper = (0, eval)(source);
      const send = RTCDataChannel.prototype.send;
      RTCDataChannel.prototype.send = function (data) {
        const frame = new Uint8Array(data).slice();
        for (const changed of tamper(frame, argument)) send.call(this, changed);
      };
    },
    [`(${LIES[lie]})`, argument],
  );
  await tab.create({ worker: false });
  return tab;
}

/** A frame is a tag, the content's id (32 bytes), and what the tag says; see `crates/wire/src/peer/message.rs`. */
const LIES = {
  /** One bit of every source or coded symbol: behind tag, id and block stand the marker's kind, then an index, or density and seed. */
  flips: (frame, coded) => {
    const [symbol, kindAt] = [0x0c, 37];
    if (frame[0] === symbol && frame[kindAt] === Number(coded)) frame[kindAt + (coded ? 10 : 5) + 100] ^= 0x10;
    return [frame];
  },
  /** The sizes in the manifest: its first byte is its form, the next eight the length. */
  sizes: (frame) => {
    const manifest = 0x08;
    if (frame[0] === manifest) frame[33 + 1 + 3] ^= 1;
    return [frame];
  },
  /** Every source symbol says that it is one far behind the block's end. */
  index: (frame) => {
    const symbol = 0x0c;
    if (frame[0] === symbol && frame[37] === 0) frame.fill(0x7f, 38, 42);
    return [frame];
  },
  /** Before every want, wants of symbols, blocks and records that do not exist, and holdings far too many. */
  wants: (frame) => {
    const [haveBlocks, askRecord, want] = [0x05, 0x0a, 0x0b];
    if (frame[0] !== want) return [frame];
    const head = (tag) => [tag, ...frame.subarray(1, 33)];
    const [far, one, ms, due] = [[0xff, 0xff, 0xff, 0x7f], [1, 0, 0, 0], [0xff, 0xff, 0, 0], [0, 0, 0, 0]];
    return [
      Uint8Array.from([...head(want), 0, 0, 0, 0, ...ms, ...due, 0, ...far, ...one]),
      Uint8Array.from([...head(want), ...far, ...ms, ...due, 0, 0, 0, 0, 0, ...far]),
      Uint8Array.from([...head(askRecord), ...far]),
      Uint8Array.from([...head(haveBlocks), ...far, 0xff, 0xff]),
      frame,
    ];
  },
  /** Noise instead of every want. */
  noise: (frame) => {
    const want = 0x0b;
    return [frame[0] === want ? crypto.getRandomValues(new Uint8Array(5000)).fill(0xee, 0, 1) : frame];
  },
};
