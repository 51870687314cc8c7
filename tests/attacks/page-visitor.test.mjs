// What a page gives to read, keeps and forgets: strangers' contents, readers that stop, other scripts of its origin, and the visitor
// who takes consent back.
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { Stage } from "../browser/harness.mjs";
import { refusal } from "../browser/flows/flow.mjs";
import { attacked } from "./attack.mjs";
import { eventually } from "./page.mjs";

const MIB = 1 << 20;
const room = "page";

let stage;
let none;
beforeAll(async () => {
  stage = await Stage.open();
  const tab = await stage.tab();
  none = stage.sockets();
  await tab.close();
});
afterEach(() => stage.closeTabs());
afterAll(() => stage?.close());

/** Names of everything in the origin's private file system. */
const files = (tab) =>
  tab.run(async () => {
    const names = [];
    const walk = async (folder, path) => {
      for await (const [name, handle] of folder.entries()) {
        names.push(`${path}${name}`);
        if (handle.kind === "directory") await walk(handle, `${path}${name}/`);
      }
    };
    await walk(await navigator.storage.getDirectory(), "");
    return names;
  });

const came = async (tab) => {
  const { fromPeersBytes, fromRelayBytes, fromHttpBytes } = await tab.stats();
  return fromPeersBytes + fromRelayBytes + fromHttpBytes;
};

test("contents that could run on the page's origin come without a type, and their names without tricks", async () => {
  const [a, b] = [await stage.tab(), await stage.tab()];
  await a.create();
  await b.create();
  const types = ["text/html", "image/svg+xml", "text/javascript", "application/pdf", "application/xml", "text/css", "multipart/x-mixed-replace"];
  const let_through = [];
  for (const [at, type] of types.entries()) {
    const { link } = await a.run(
      ([type, at]) => harness.peer().publish(new Blob([`<script>top.done = ${at}</script>`]), { name: `photo\u202egpj.${at}`, type }),
      [type, at],
    );
    const { headers } = await b.fetch(link);
    const blobType = await b.run(async (link) => (await (await harness.peer().fetch(link)).blob()).type, link);
    if (headers["content-type"] !== "application/octet-stream" || blobType !== "application/octet-stream") let_through.push(type);
    if (headers["x-content-type-options"] !== "nosniff" || !headers["content-security-policy"].includes("sandbox")) let_through.push("headers");
    if (!headers["content-disposition"].startsWith("attachment") || headers["content-disposition"].includes("%E2%80%AE")) let_through.push("name");
  }
  const { contents } = await b.stats();
  if (contents.some(({ name }) => name.includes("\u202e"))) let_through.push("name in the stats");
  attacked({ room, kind: "page", name: "contents of types that run, with names that turn", spent: `${types.length} contents`, lost: let_through.join() || "nothing", held: let_through.length === 0 });
});

test("names that no file, header or address can take are refused before anything is stored", async () => {
  const tab = await stage.tab();
  await tab.create();
  const refused = await tab.run(async () => {
    const blob = new Blob([new Uint8Array(50_000)]);
    const names = ["\ud800", "a\udfffb", "", ".", "..", "x".repeat(256), "ä".repeat(128), "a\0b", "a\r\nb", 5, null, {}];
    const codes = [];
    for (const name of names) {
      // `null` is no name given: as if it were left out.
      const options = { name: name === null ? [] : name };
      codes.push(await harness.peer().publish(blob, options).then(() => `published ${name}`, ({ code, name: kind }) => code ?? kind));
      if (typeof name === "string") codes.push(await harness.peer().publishLive({ name }).then(() => `live ${name}`, ({ code, name: kind }) => code ?? kind));
    }
    for (const type of ["text/\u{1f600}", "x".repeat(128), "a\r\nb: c", 7]) {
      codes.push(await harness.peer().publish(blob, { type }).then(() => `published ${type}`, ({ code, name: kind }) => code ?? kind));
    }
    return codes;
  });
  const { contents } = await tab.stats();
  const stored = (await files(tab)).filter((name) => /\/c\d+/.test(name));
  const wrong = refused.filter((code) => code !== "invalid_option");
  attacked({ room, kind: "names", name: "names and types that cannot be", spent: `${refused.length} calls`, lost: `${wrong.join()} ${contents.length} contents, ${stored.length} files`, held: wrong.length === 0 && contents.length === 0 && stored.length === 0 });
});

test("a reader that takes a chunk and stops is fetched for no further", async () => {
  const [a, b] = [await stage.tab(), await stage.tab()];
  await a.create();
  await b.create();
  const { link } = await a.publish({ seed: 1, length: 96 * MIB });
  const read = await b.run(async (link) => {
    window.response = await harness.peer().fetch(link);
    window.reader = window.response.body.getReader();
    return (await window.reader.read()).value.byteLength;
  }, link);
  let before = -1;
  await eventually(async () => {
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    const now = await came(b);
    const rests = now === before;
    before = now;
    return rests;
  }, "nothing more comes");
  const ahead = before - read;
  attacked({ room, kind: "readers", name: "one chunk, then nothing", spent: "1 request", lost: `${(ahead / MIB).toFixed(1)} MiB fetched that nobody read`, held: ahead <= 8 * MIB });
});

/** From now on the page counts the bytes that its engine's worker gives it: `window.given`. */
const countGiven = (tab) =>
  tab.run(() => {
    window.given = 0;
    window.Worker = class extends Worker {
      constructor(...words) {
        super(...words);
        this.addEventListener("message", ({ data }) => (window.given += data?.type === "data" ? data.bytes.byteLength : 0));
      }
    };
  });

test("100 responses that nobody reads hold little, and a reader beside them gets everything", async () => {
  const [a, b] = [await stage.tab(), await stage.tab()];
  await a.create();
  await countGiven(b);
  await b.create();
  const length = 6 * MIB;
  const { link } = await a.publish({ seed: 2, length });
  await b.run(async (link) => {
    window.responses = await Promise.all(Array.from({ length: 100 }, () => harness.peer().fetch(link)));
  }, link);
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  const held = await b.run(() => window.given);
  const { bytes } = await b.fetch(link, { seed: 2 });
  await b.run(() => Promise.all(window.responses.map((response) => response.body.cancel())));
  const { contents } = await b.stats();
  const requests = contents.reduce((sum, { requests }) => sum + requests, 0);
  attacked({ room, kind: "readers", name: "100 responses unread", spent: "100 requests", lost: `${(held / MIB).toFixed(1)} MiB held in the page, ${length - bytes} bytes for who reads, ${requests} requests left when cancelled`, held: held <= 48 * MIB && bytes === length && requests === 0, figures: { memory_bytes: held / 100 } });
});

test("the head of a content comes without its body", async () => {
  const [a, b] = [await stage.tab(), await stage.tab()];
  await a.create();
  await b.create();
  const { link } = await a.publish({ seed: 3, length: 64 * MIB, name: "film.mp4", type: "video/mp4" });
  const head = await b.run(async (link) => {
    const response = await harness.peer().head(link);
    const part = await harness.peer().head(link, { range: { start: 5, end: 9 } });
    return { status: response.status, body: response.body, type: response.headers.get("content-type"), length: response.headers.get("content-length"), part: part.status, range: part.headers.get("content-range") };
  }, link);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const bytes = await came(b);
  expect(head).toEqual({ status: 200, body: null, type: "video/mp4", length: String(64 * MIB), part: 206, range: `bytes 5-9/${64 * MIB}` });
  attacked({ room, kind: "readers", name: "only the head is asked for", spent: "2 requests", lost: `${(bytes / MIB).toFixed(1)} MiB fetched`, held: bytes <= 8 * MIB });
});

test("a visitor comes with another key each time, but for a reload", async () => {
  const first = await stage.tab();
  const ids = [await first.create()];
  await first.reload();
  expect(await first.create()).toBe(ids[0]);
  for (let visit = 0; visit < 3; visit++) {
    const tab = await stage.tab({ context: first.context });
    if (visit === 0) await first.close();
    ids.push(await tab.create());
    if (visit < 2) await tab.close();
  }
  attacked({ room, kind: "listening", name: "knowing a visitor again by the key", spent: "4 visits of one browser", lost: `${4 - new Set(ids).size} visits known`, held: new Set(ids).size === 4 });
});

test("who publishes live keeps that key over visits, and only for that", async () => {
  const first = await stage.tab();
  await first.create();
  const live = (tab) => tab.run(async () => (await harness.peer().publishLive({ name: "show" })).link);
  const link = await live(first);
  const keeper = await stage.tab({ context: first.context });
  await first.close();
  const id = await keeper.create();
  expect(link).not.toMatch(id);
  expect(await live(keeper)).toBe(link);
  expect(link).toMatch(await keeper.run(() => harness.peer().id));
  await keeper.event("relay", { state: "ready" });
});

for (const how of ["forget", "denied"]) {
  test(`${how}: within a second nothing of the visitor is left, open or stored`, async () => {
    const [a, b] = [await stage.tab(), await stage.tab()];
    await a.create();
    const id = await b.create();
    const { link } = await a.publish({ seed: 4, length: 24 * MIB });
    await b.fetch(link, { range: "bytes=0-3000000" });
    await b.run(() => harness.peer().publishLive({ name: "mine" }));
    await b.start(link, { seed: 4 });
    expect((await files(b)).length).toBeGreaterThan(3);
    await a.closePeer();
    const ms = await b.run(async (how) => {
      const began = performance.now();
      await (how === "forget" ? harness.peer().forget() : harness.peer().setConsent("denied"));
      return performance.now() - began;
    }, how);
    const left = await files(b);
    const session = await b.run(() => ({ ...sessionStorage }));
    await stage.untilSockets(none);
    expect(b.workers()).toBe(0);
    expect(await refusal(b.fetch(link))).toMatch("consent_required");
    expect(await b.run(() => harness.peer().id)).toBeNull();
    await b.setConsent("granted");
    const again = await b.run(() => harness.peer().id);
    expect((await b.stats()).contents).toEqual([]);
    const held = left.length === 0 && Object.keys(session).length === 0 && again !== id;
    attacked({ room, kind: "listening", name: `what is left of a visitor after ${how}`, spent: "a look into the browser", lost: `${left.length} files, ${Object.keys(session)}`, held });
    // Two cores run eight things meanwhile: what is promised for a second is seen to take a few at most.
    expect(ms).toBeLessThan(5_000);
  });
}

test("a store that other scripts of the origin wrote into neither ends the engine nor gives a wrong byte", async () => {
  const [a, b] = [await stage.tab(), await stage.tab()];
  await a.create();
  await b.create();
  const { link, content } = await a.publish({ seed: 6, length: 4 * MIB });
  await b.fetch(link, { seed: 6 });
  await b.closePeer();
  await b.run(async (content) => {
    // As js/src/store/opfs-folder.ts writes it, with an id that is none, and with every bit of the data changed.
    const { encodeState } = await (0, eval)(`import("/peeredge/dist/store/opfs-folder.js")`);
    const root = await (await (await navigator.storage.getDirectory()).getDirectoryHandle("peeredge")).getDirectoryHandle("slot-0");
    const write = async (folder, name, bytes) => {
      const file = await (await folder.getFileHandle(name, { create: true })).createWritable();
      await file.write(bytes);
      await file.close();
    };
    for await (const [name, folder] of root.entries()) {
      if (folder.kind !== "directory" || !name.startsWith("c")) continue;
      const data = await (await folder.getFileHandle("data")).getFile();
      await write(folder, "data", new Uint8Array(await data.arrayBuffer()).map((byte) => byte ^ 1));
    }
    const odd = [["c9007199254740993", encodeState(1, content, new Uint8Array(10))], ["c70", encodeState(1, "!".repeat(52), new Uint8Array(10))], ["c71", encodeState(2, "a".repeat(52), new Uint8Array(1000).fill(255))], ["c72", new Uint8Array(6 << 20)], ["other", new Uint8Array(3)]];
    for (const [name, state] of odd) await write(await root.getDirectoryHandle(name, { create: true }), "state-0", state);
  }, content);
  await b.reload();
  await b.create();
  const { bytes } = await b.fetch(link, { seed: 6 });
  const c = await stage.tab();
  await a.close();
  await c.create();
  const second = await c.fetch(link, { seed: 6 });
  expect([...b.errors, ...c.errors]).toEqual([]);
  attacked({ room, kind: "data", name: "the origin's file system is rewritten", spent: "a script of the origin", lost: `${4 * MIB - bytes} bytes here, ${4 * MIB - second.bytes} served on`, held: bytes === 4 * MIB && second.bytes === 4 * MIB });
});

test("another tab that takes every store, and steals this one's, costs storage and nothing else", async () => {
  const [a, b] = [await stage.tab(), await stage.tab()];
  const bad = await stage.tab({ context: b.context });
  await a.create();
  const { link } = await a.publish({ seed: 7, length: 4 * MIB });
  await bad.run(async () => {
    for (let number = 0; number < 64; number++) {
      await new Promise((taken) => void navigator.locks.request(`peeredge-slot-${number}`, { steal: true }, () => (taken(), new Promise(() => {}))));
    }
  });
  await b.create();
  const inMemory = await b.fetch(link, { seed: 7 });
  const kind = (await b.stats()).store;
  await b.closePeer();
  await bad.close();
  await b.create();
  const other = await stage.tab({ context: b.context });
  await other.run(async () => {
    void navigator.locks.request("peeredge-slot-0", { steal: true }, () => new Promise(() => {})).catch(() => undefined);
    const root = await (await navigator.storage.getDirectory()).getDirectoryHandle("peeredge");
    await root.removeEntry("slot-0", { recursive: true }).catch(() => undefined);
  });
  const again = await b.fetch(link, { seed: 7 });
  expect(kind).toBe("memory");
  expect(b.errors).toEqual([]);
  attacked({ room, kind: "data", name: "another tab of the origin takes the stores", spent: "a script of the origin", lost: `${8 * MIB - inMemory.bytes - again.bytes} bytes`, held: inMemory.bytes + again.bytes === 8 * MIB });
});

test("options of wrong types and values end in their own error", async () => {
  const tab = await stage.tab();
  await tab.create();
  const codes = await tab.run(async () => {
    const peer = harness.peer();
    const link = `peeredge:${"a".repeat(52)}`;
    const blob = new Blob(["x"]);
    const tries = [
      () => peer.fetch(link, 5), () => peer.fetch(link, { signal: 5 }), () => peer.fetch(link, { range: "x" }), () => peer.fetch(link, { range: { start: -1 } }),
      () => peer.fetch(link, { range: { last: NaN } }), () => peer.fetch(link, { headers: { "a b": "c" } }), () => peer.fetch(link, { origin: "data:,x" }),
      () => peer.fetch(link, { bytesPerSecond: NaN }), () => peer.fetch(link, { bytesPerSecond: -1 }), () => peer.head(link, "x"), () => peer.publish("x"),
      () => peer.publish(blob, { onProgress: 5 }), () => peer.publish(blob, { signal: {} }), () => peer.publish(blob, 7), () => peer.publishLive(), () => peer.publishLive({}),
      () => peer.setCaps(5), () => peer.setCaps({ connections: 1.5 }), () => peer.setCaps({ uploadBytes: NaN }), () => peer.setCaps({ x: 1 }), () => peer.setConsent("yes"),
      () => peer.setCompute({ slots: "1" }), () => peer.run(link, 5),
    ];
    const found = [];
    for (const job of tries) found.push(await (async () => job())().then(() => `nothing: ${job}`, ({ code, name }) => code ?? `${name}: ${job}`));
    for (const wrong of [null, 5, "", [], "peeredge:", "x".repeat(1e6), Symbol("x")]) {
      found.push(await peer.fetch(wrong).then(() => "nothing", ({ code, name, message }) => (message.length > 1000 ? "long" : code === "invalid_link" ? "invalid_option" : (code ?? name))));
    }
    return found;
  });
  const wrong = codes.filter((code) => code !== "invalid_option");
  attacked({ room, kind: "page", name: "options of wrong types", spent: `${codes.length} calls`, lost: wrong.join("; ") || "nothing", held: wrong.length === 0 });
});

test("a disk that takes no more costs storage, and no byte", async () => {
  const [source, tab] = [await stage.tab(), await stage.tab()];
  await source.create();
  const film = await source.publish({ seed: 41, length: 24 * MIB, name: "film.bin" });
  const session = await tab.page.context().newCDPSession(tab.page);
  await tab.create();
  // After the peer has looked how much there is.
  await session.send("Storage.overrideQuotaForOrigin", { origin: new URL(tab.page.url()).origin, quotaSize: 3 * MIB });
  const whole = await tab.fetch(film.link, { seed: 41 });
  const again = await tab.fetch(film.link, { seed: 41 });
  // What it publishes itself has no room either, and is there as long as the page is.
  const own = await tab.publish({ seed: 42, length: 8 * MIB, name: "own.bin" });
  const other = await source.fetch(own.link, { seed: 42 });
  const { usage } = await tab.run(() => navigator.storage.estimate());
  expect(usage, "the quota holds").toBeLessThan(4 * MIB);
  attacked({ room, kind: "data", name: "a store without room", spent: "a disk of 3 MiB", lost: "what would have been stored", held: whole.bytes === 24 * MIB && again.bytes === 24 * MIB && other.bytes === 8 * MIB && tab.errors.length === 0 });
});

test("messages from other windows are nobody's", async () => {
  const [a, b] = [await stage.tab(), await stage.tab()];
  await a.create();
  await b.create();
  const { link } = await a.publish({ seed: 8, length: MIB });
  await b.run(() => {
    const frame = document.body.appendChild(document.createElement("iframe"));
    for (const type of ["fatal", "closed", "head", "data", "failed", "started", "close", "open", "signal", "budget"]) {
      for (const target of [window, frame.contentWindow]) target.postMessage({ type, request: 1, connection: 1, bytes: new Uint8Array(9), message: "x" }, "*");
    }
    const port = new MessageChannel();
    window.postMessage("peeredge", "*", [port.port2]);
    new BroadcastChannel("peeredge").postMessage({ type: "fatal", message: "x" });
  });
  const { bytes } = await b.fetch(link, { seed: 8 });
  attacked({ room, kind: "page", name: "messages from other windows", spent: "22 messages", lost: `${MIB - bytes} bytes, ${b.errors}`, held: bytes === MIB && b.errors.length === 0 });
});
