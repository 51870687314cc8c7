// Much for little at the relay's port: frames without messages, static files, headers, and requests as fast as they go.
import { afterEach, test } from "vitest";
import { attacked, MEASURES } from "./attack.mjs";
import { Raw, Relay, ask, file, firstContent, folder, goodP99, network, rawSocket, until, wait, wsFrame } from "./relay-tools.mjs";
import { Stranger } from "./stranger.mjs";

let relay = null;
let held = [];
const relayWith = async (settings, more = {}) => (relay = await Relay.start({ settings: { rtc: false, ...settings }, ...more }));

afterEach(async () => {
  for (const one of held) one.close();
  held = [];
  await relay?.stop();
  relay = null;
});

/** Sends one kind of frame until the relay has had enough, and tells what it took. */
async function noise(name, frames) {
  await relayWith({});
  const good = await Stranger.connect(relay.url, { from: network(2) });
  held.push(good);
  const before = await relay.metric("process_cpu_seconds_total");
  const raw = await rawSocket(relay);
  held.push(raw);
  let sent = 0;
  const ended = await until(async () => {
    for (let n = 0; n < 20 && !raw.closed; n += 1) {
      raw.say(frames);
      sent += frames.length;
    }
    return raw.closed;
  });
  const cpu = (await relay.metric("process_cpu_seconds_total")) - before;
  const stays = good.closed === null;
  attacked({ room: "relay", kind: "amplifying", name, spent: `${sent} bytes`, lost: `${cpu.toFixed(2)} s of processor time, ended after ${ended && Math.round(ended)} ms`, held: ended !== null && stays });
}

const many = (frame) => Buffer.concat(Array.from({ length: 100 }, () => frame));

test("pings without end end the connection", () => noise("WebSocket pings", many(wsFrame(0x89))));
test("pongs that nobody asked for end the connection", () => noise("WebSocket pongs", many(wsFrame(0x8a, "x".repeat(120)))));
test("empty fragments end the connection", () => noise("empty fragments", Buffer.concat([wsFrame(0x02), many(wsFrame(0x00))])));
test("messages in fragments of a byte end the connection", () => noise("fragments of a byte", many(Buffer.concat([wsFrame(0x02, "a"), wsFrame(0x00, "b"), wsFrame(0x80, "c")]))));
test("empty messages end the connection", () => noise("empty messages", many(wsFrame(0x82))));

test("a browser's pongs and an occasional ping cost nothing", async () => {
  await relayWith({ ping_interval_ms: 50, idle_timeout_ms: 1_000 });
  const peer = await Stranger.connect(relay.url, { from: network(2) });
  held.push(peer);
  await wait(4_000);
  attacked({ room: "relay", kind: "amplifying", name: "answers to the relay's own pings", spent: "80 pongs", lost: "nothing", held: peer.closed === null });
});

test("clients that do not read a static file cost their share of it", async () => {
  const site = folder();
  file(`${site.path}/large.bin`, 48 << 20);
  await relayWith({ demo_dir: site.path });
  const before = await relay.metric("process_resident_memory_bytes");
  for (let n = 0; n < 60; n += 1) held.push(await Raw.connect(relay.port, { from: network(1), said: "GET /large.bin HTTP/1.1\r\nhost: localhost\r\n\r\n", deaf: true }));
  await wait(2_000);
  const each = ((await relay.metric("process_resident_memory_bytes")) - before) / 60;
  const status = await ask(relay.port, { path: "/large.bin", method: "HEAD" });
  site.remove();
  attacked({ room: "relay", kind: "amplifying", name: "a static file that is not read", spent: "60 requests", lost: `${Math.round(each / 1000)} kB each`, held: each < 1 << 20 && status === 200, figures: { memory_bytes: Math.max(0, Math.round(each)) } });
});

test("a static file comes whole, in pieces as they are taken", async () => {
  const site = folder();
  file(`${site.path}/large.bin`, 5_000_001);
  await relayWith({ demo_dir: site.path });
  const answer = await fetch(`${relay.url}/large.bin`);
  const bytes = Buffer.from(await answer.arrayBuffer());
  site.remove();
  attacked({ room: "relay", kind: "readers", name: "a static file, read", spent: "nothing", lost: "nothing", held: bytes.length === 5_000_001 && Number(answer.headers.get("content-length")) === bytes.length });
});

const LARGE = 64 << 20;
const readers = {
  "the whole of a content that is not read": () => ({ method: "GET", deaf: true }),
  "ranges of a content that are not read": (n) => ({ method: "GET", range: `bytes=${n * 1000}-`, deaf: true }),
  "a content of which a little is read now and then": () => ({ method: "GET", drips: true }),
  "heads of a content": () => ({ method: "HEAD" }),
  "heads of ranges": (n) => ({ method: "HEAD", range: `bytes=${n}-` }),
};
for (const [name, request] of Object.entries(readers)) {
  test(`a hundred readers: ${name} costs each its share`, async () => {
    const files = folder();
    await relayWith({ connections_per_owner_max: 200 }, { publish: [file(`${files.path}/large.bin`, LARGE)] });
    const content = await firstContent(relay);
    // What the first look at the content takes is the relay's, not a reader's.
    await (await fetch(`${relay.url}/c/${content.id}`)).arrayBuffer();
    const before = await relay.metric("process_resident_memory_bytes");
    const drips = [];
    for (let n = 0; n < 100; n += 1) {
      const { method, range, deaf = false, drips: isSlow = false } = request(n);
      const said = `${method} /c/${content.id} HTTP/1.1\r\nhost: localhost\r\n${range ? `range: ${range}\r\n` : ""}\r\n`;
      const raw = await Raw.connect(relay.port, { from: network(1), said, deaf: deaf || isSlow });
      held.push(raw);
      if (isSlow) drips.push(raw.socket);
    }
    for (let round = 0; round < 8; round += 1) {
      for (const socket of drips) socket.read(16 << 10);
      await wait(250);
    }
    const each = ((await relay.metric("process_resident_memory_bytes")) - before) / 100;
    const heads = name.startsWith("heads") ? held.filter((raw) => raw.heardBytes > 0 && raw.heardBytes < 4096).length : 100;
    const status = await ask(relay.port, { path: `/m/${content.id}` });
    files.remove();
    attacked({ room: "relay", kind: "readers", name, spent: "100 connections", lost: `${Math.round(each / 1000)} kB each`, held: each < 1 << 20 && status === 200 && heads === 100, figures: { memory_bytes: Math.max(0, Math.round(each)) } });
  });
}

test("large and many headers are refused and leave nothing behind", async () => {
  await relayWith({});
  const before = await relay.metric("process_resident_memory_bytes");
  const large = `GET / HTTP/1.1\r\nhost: localhost\r\nx-a: ${"a".repeat(60_000)}\r\n\r\n`;
  const many = `GET / HTTP/1.1\r\nhost: localhost\r\n${"x: y\r\n".repeat(2_000)}\r\n`;
  for (let n = 0; n < 100; n += 1) held.push(await Raw.connect(relay.port, { from: network(1), said: n % 2 ? large : many }));
  const ended = await until(() => held.every((raw) => raw.closed));
  const grown = (await relay.metric("process_resident_memory_bytes")) - before;
  attacked({ room: "relay", kind: "amplifying", name: "header sets of 60 kB", spent: "100 requests", lost: `${Math.round(grown / 1000)} kB`, held: ended !== null && held.every((raw) => raw.status === 431 || raw.status === 0) && grown < 16 << 20, figures: { memory_bytes: Math.max(0, Math.round(grown / 100)) } });
});

test("ten thousand ranges in a request cost no more than the file", async () => {
  const files = folder();
  await relayWith({}, { publish: [file(`${files.path}/a.bin`, 100_000)] });
  let list = [];
  await until(async () => (list = await (await fetch(`${relay.url}/api/contents`)).json()).length > 0);
  const ranges = Array.from({ length: 1_500 }, (_, n) => `${n}-${n}`).join(",");
  const answer = await fetch(`${relay.url}/c/${list[0].id}`, { headers: { range: `bytes=${ranges}` } });
  const bytes = (await answer.arrayBuffer()).byteLength;
  files.remove();
  attacked({ room: "relay", kind: "amplifying", name: "many ranges in a request", spent: "one request", lost: `status ${answer.status}, ${bytes} bytes`, held: bytes <= 100_000 });
});

for (const [name, method, path] of [
  ["preflights", "OPTIONS", "/api/contents"],
  ["HEAD requests", "HEAD", "/api/contents"],
  ["requests for metrics on the public port", "GET", "/metrics"],
  ["health checks", "GET", "/readyz"],
]) {
  test(`${name} without end wait for their network's turn`, async () => {
    await relayWith({ requests_per_owner_s_max: 200 });
    const base = MEASURES ? await goodP99(relay) : null;
    let answered = 0;
    let runs = true;
    const flood = Array.from({ length: 16 }, async () => {
      const raw = await Raw.connect(relay.port, { from: network(1) });
      held.push(raw);
      let heard = 0;
      const request = `${method} ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`;
      while (runs && !raw.closed) {
        raw.say(request);
        await until(() => raw.heardBytes > heard || raw.closed || !runs, 5_000);
        heard = raw.heardBytes;
        answered += 1;
      }
    });
    await wait(2_000);
    const status = await ask(relay.port, { path: "/livez" });
    const figures = MEASURES ? { good_client_p99_ratio: (await goodP99(relay)) / base } : {};
    const delayed = await relay.metric("peeredge_requests_delayed_total");
    runs = false;
    await Promise.all(flood);
    attacked({ room: "relay", kind: "amplifying", name, spent: `${answered} requests on 16 connections`, lost: `${delayed} waited`, held: status === 200 && delayed > 0, figures });
  });
}

test("messages as fast as they go wait for their network's turn, whatever the number of sockets", async () => {
  await relayWith({ requests_per_owner_s_max: 200 });
  for (let n = 0; n < 10; n += 1) held.push(await Stranger.connect(relay.url, { from: network(1, 1 + n) }));
  for (let n = 0; n < 100; n += 1) held.forEach((peer) => peer.announce(Buffer.alloc(32, n), 0, 0));
  await wait(300);
  const good = await Stranger.connect(relay.url, { from: network(2) });
  held.push(good);
  const delayed = await relay.metric("peeredge_requests_delayed_total");
  attacked({ room: "relay", kind: "bursts", name: "messages on ten sockets", spent: "1,000 messages", lost: `${delayed} waited`, held: delayed > 0 && good.closed === null });
});

test("a list of contents goes on behind the one that is named", async () => {
  const files = folder();
  await relayWith({}, { publish: Array.from({ length: 3 }, (_, n) => file(`${files.path}/${n}.bin`, 8, n)) });
  const list = async (query) => (await fetch(`${relay.url}/api/contents${query}`)).json();
  await until(async () => (await list("")).length === 3);
  const [first, ...others] = await list("");
  const behind = await list(`?after=${first.id}`);
  const odd = await Promise.all(["?after=x", "?page=2", `?after=${first.id}&after=${first.id}`].map(async (query) => (await fetch(`${relay.url}/api/contents${query}`)).status));
  files.remove();
  attacked({ room: "relay", kind: "amplifying", name: "queries of the list of contents", spent: "5 requests", lost: "nothing", held: behind.map(({ id }) => id).join() === others.map(({ id }) => id).join() && odd.every((status) => status === 400) });
});
