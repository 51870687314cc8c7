// Datagrams of strangers: at the port that answers STUN, and at WebRTC's.
import { randomBytes } from "node:crypto";
import { afterEach, test } from "vitest";
import { attacked, MEASURES } from "./attack.mjs";
import { Relay, STUN_REQUEST, fetchesByPeers, file, firstContent, folder, goodP99, network, udp, until, wait } from "./relay-tools.mjs";
import { freePort } from "../browser/relay.mjs";

let relay = null;
let files = null;
let sockets = [];

afterEach(async () => {
  for (const one of sockets) one.close();
  sockets = [];
  await relay?.stop();
  files?.remove();
  [relay, files] = [null, null];
});

async function withStun() {
  const port = await freePort();
  relay = await Relay.start({ settings: { stun_bind: `127.0.0.1:${port}` } });
  return port;
}

async function withContent() {
  files = folder();
  relay = await Relay.start({ publish: [file(`${files.path}/a.bin`, 300_000)] });
  return (await firstContent(relay)).link;
}

const at = async (from) => {
  const socket = await udp(from);
  sockets.push(socket);
  return socket;
};

/** Asks up to seven times, as browsers do; gives whether an answer came. */
async function isAnswered(port, from) {
  const socket = await at(from);
  for (let n = 0; n < 7 && socket.heard === 0; n += 1) {
    await socket.send(STUN_REQUEST, port);
    await until(() => socket.heard > 0, 200);
  }
  return socket.heard > 0;
}

test("one network that asks for its address without end is answered within its share, whatever its addresses", async () => {
  const port = await withStun();
  const own = await Promise.all(Array.from({ length: 20 }, (_, n) => at(network(1, 1 + n))));
  for (let n = 0; n < 200; n += 1) await Promise.all(own.map((socket) => socket.send(STUN_REQUEST, port)));
  const other = await isAnswered(port, network(2));
  await wait(100);
  const heard = own.reduce((sum, socket) => sum + socket.heardBytes, 0);
  attacked({ room: "relay", kind: "amplifying", name: "STUN from one network", spent: "4,000 requests of 20 bytes", lost: `${heard} bytes in answer`, held: other && heard < 4_000 * 20, figures: { byte_amplification: heard / 80_000 } });
});

test("forged networks without number do not switch STUN off for others", async () => {
  const port = await withStun();
  const base = MEASURES ? await goodP99(relay) : null;
  const forged = await Promise.all(Array.from({ length: 100 }, (_, n) => at(network(10 + n))));
  let runs = true;
  let sent = 0;
  const flood = (async () => {
    while (runs) {
      await Promise.all(forged.map((socket) => socket.send(STUN_REQUEST, port)));
      sent += forged.length;
      await wait(1);
    }
  })();
  await wait(500);
  const answered = [];
  for (let n = 0; n < 3; n += 1) answered.push(await isAnswered(port, network(500 + n)));
  const figures = MEASURES ? { good_client_p99_ratio: (await goodP99(relay)) / base } : {};
  runs = false;
  await flood;
  attacked({ room: "relay", kind: "amplifying", name: "STUN from a hundred networks", spent: `${sent} requests`, lost: `${answered.filter((is) => !is).length} of 3 newcomers`, held: answered.every(Boolean), figures });
});

test("what is no request is not answered", async () => {
  const port = await withStun();
  const socket = await at(network(1));
  const kinds = [Buffer.alloc(0), Buffer.alloc(1), randomBytes(548), Buffer.concat([STUN_REQUEST, Buffer.alloc(600)]), Buffer.from(STUN_REQUEST).fill(1, 0, 2)];
  for (let n = 0; n < 500; n += 1) for (const kind of kinds) await socket.send(kind, port);
  const answered = await isAnswered(port, network(2));
  attacked({ room: "relay", kind: "amplifying", name: "noise at the STUN port", spent: "2,500 datagrams", lost: `${socket.heard} answers`, held: socket.heard === 0 && answered, figures: { byte_amplification: 0 } });
});

/** Sends datagrams at WebRTC's port while a native peer fetches over it. */
async function whileFetching(name, datagrams, from = network(1)) {
  const link = await withContent();
  const socket = await at(from);
  const base = MEASURES ? await goodP99(relay) : null;
  let runs = true;
  let sent = 0;
  const before = await relay.metric("process_cpu_seconds_total");
  const began = performance.now();
  const flood = (async () => {
    while (runs) {
      for (let n = 0; n < 50; n += 1) await socket.send(datagrams[sent++ % datagrams.length], relay.port);
      await wait(1);
    }
  })();
  const { came, ms } = await fetchesByPeers(link);
  const cpu = ((await relay.metric("process_cpu_seconds_total")) - before) / ((performance.now() - began) / 1000);
  const ratio = MEASURES ? { good_client_p99_ratio: (await goodP99(relay)) / base } : {};
  runs = false;
  await flood;
  attacked({ room: "relay", kind: "amplifying", name, spent: `${sent} datagrams`, lost: `${came ? Math.round(ms) : "all"} ms for a fetch, ${(cpu * 100).toFixed(0)} % of a core`, held: came && socket.heard === 0, figures: { byte_amplification: socket.heardBytes / Math.max(1, sent * 20), ...ratio } });
}

const check = (name) => {
  const user = Buffer.from(name.padEnd(Math.ceil(name.length / 4) * 4, "\0"));
  const attribute = Buffer.concat([Buffer.from([0, 6, 0, name.length]), user]);
  const header = Buffer.from(STUN_REQUEST);
  header.writeUInt16BE(attribute.length, 2);
  return Buffer.concat([header, attribute]);
};
const dtls = Buffer.concat([Buffer.from("16fefd0000000000000000", "hex"), Buffer.from([1, 0]), randomBytes(256)]);

test("garbage at WebRTC's port delays nobody", () => whileFetching("garbage at WebRTC's port", [randomBytes(1200), Buffer.alloc(1200, 0xff), Buffer.alloc(1200)]));
test("checks for connections that are not there delay nobody", () => whileFetching("connectivity checks for nobody", Array.from({ length: 64 }, (_, n) => check(`nobody${n}:stranger`))));
test("answers to checks that were never sent delay nobody", () => whileFetching("answers that nobody asked for", [Buffer.concat([Buffer.from("0101", "hex"), STUN_REQUEST.subarray(2)])]));
test("handshakes of strangers delay nobody", () => whileFetching("DTLS handshakes of strangers", [dtls]));
