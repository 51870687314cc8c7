// Places at the relay's port: whoever takes many and uses none gives way, and no network has them all.
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

const idle = (count, from) => Promise.all(Array.from({ length: count }, async (_, n) => held.push(await Raw.connect(relay.port, { from: from(n) }))));

test("idle connections of one network keep nobody out", async () => {
  await relayWith({ connections_max: 200, connections_per_owner_max: 150 });
  await idle(400, (n) => network(1, 1 + (n % 200)));
  const [other, own] = [await ask(relay.port, { from: network(2) }), await ask(relay.port, { from: network(1, 250) })];
  const open = await relay.metric("peeredge_connections");
  attacked({ room: "relay", kind: "seats", name: "idle connections of one network", spent: "400 connections", lost: `answers ${other} and ${own}, ${open} open`, held: other === 200 && own === 200 && open <= 152 });
});

test("idle connections of many networks give way to whoever comes", async () => {
  await relayWith({ connections_max: 100 });
  await idle(300, (n) => network(10 + (n % 30)));
  const answers = [];
  for (let n = 0; n < 10; n += 1) answers.push(await ask(relay.port, { from: network(100 + n) }));
  attacked({ room: "relay", kind: "seats", name: "idle connections of thirty networks", spent: "300 connections", lost: `${answers.filter((status) => status !== 200).length} of 10 answers`, held: answers.every((status) => status === 200) });
});

test("headers that never end take no place for long", async () => {
  await relayWith({ connections_max: 60, header_timeout_ms: 1_500 });
  for (let n = 0; n < 60; n += 1) held.push(await Raw.connect(relay.port, { from: network(1), said: "GET / HTTP/1.1\r\nhost: localhost\r\nx-slow: " }));
  const drip = setInterval(() => held.forEach((raw) => raw.say("a")), 100);
  const status = await ask(relay.port);
  const ended = await until(() => held.every((raw) => raw.closed));
  clearInterval(drip);
  attacked({ room: "relay", kind: "seats", name: "headers that never end", spent: "60 connections, a byte each tenth of a second", lost: `answer ${status}, ended after ${ended && Math.round(ended)} ms`, held: status === 200 && ended !== null });
});

test("requests whose body never ends take no place", async () => {
  await relayWith({ connections_max: 60 });
  for (let n = 0; n < 60; n += 1) {
    held.push(await Raw.connect(relay.port, { from: network(1), said: "POST /api/contents HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000000\r\n\r\n" }));
  }
  const ended = await until(() => held.every((raw) => raw.closed));
  const refused = held.filter((raw) => raw.status === 413).length;
  const status = await ask(relay.port);
  attacked({ room: "relay", kind: "seats", name: "bodies that never end", spent: "60 requests that promise 1 GB", lost: `answer ${status}, ${refused} refused`, held: status === 200 && ended !== null && refused === 60 });
});

test("answers that nobody reads are given up, and others are served meanwhile", async () => {
  const files = folder();
  await relayWith({ connections_max: 40, connections_per_owner_max: 30, write_timeout_ms: 2_000 }, { publish: [file(`${files.path}/large.bin`, 16 << 20)] });
  const content = await firstContent(relay);
  const request = `GET /c/${content.id} HTTP/1.1\r\nhost: localhost\r\n\r\n`;
  for (let n = 0; n < 60; n += 1) held.push(await Raw.connect(relay.port, { from: network(1), said: request, deaf: true }));
  const during = await ask(relay.port, { path: `/m/${content.id}` });
  const ended = await until(async () => (await relay.metric("peeredge_connections")) <= 1);
  files.remove();
  attacked({ room: "relay", kind: "seats", name: "answers that nobody reads", spent: "60 connections", lost: `answer ${during}, given up after ${ended && Math.round(ended)} ms`, held: during === 200 && ended !== null });
});

test("sockets that never say hello give way to peers that do, and end", async () => {
  await relayWith({ peers_max: 40, peers_per_owner_max: 30 });
  for (let n = 0; n < 60; n += 1) held.push(await rawSocket(relay, network(1, 1 + n)));
  const own = await Stranger.connect(relay.url, { from: network(1, 200) }).catch((error) => error);
  const other = await Stranger.connect(relay.url, { from: network(2) }).catch((error) => error);
  held.push(...[own, other].filter((peer) => peer instanceof Stranger));
  attacked({ room: "relay", kind: "seats", name: "sockets before hello", spent: "60 sockets", lost: [own, other].map((peer) => peer.message ?? "served").join(", "), held: own instanceof Stranger && other instanceof Stranger });
});

test("one network's peers leave places to others", async () => {
  await relayWith({ peers_max: 30, peers_per_owner_max: 20 });
  let refused = 0;
  for (let n = 0; n < 40; n += 1) {
    const peer = await Stranger.connect(relay.url, { from: network(1, 1 + n) }).catch(() => null);
    if (peer) held.push(peer);
    else refused += 1;
  }
  const other = await Stranger.connect(relay.url, { from: network(2) }).catch((error) => error);
  if (other instanceof Stranger) held.push(other);
  attacked({ room: "relay", kind: "seats", name: "places of peers from one network", spent: "40 keys on 40 addresses", lost: `${40 - refused} places taken`, held: other instanceof Stranger && 40 - refused <= 20 });
});

test("where all peers' places are taken the network with most gives one up", async () => {
  await relayWith({ peers_max: 12, peers_per_owner_max: 12 });
  for (let n = 0; n < 12; n += 1) held.push(await Stranger.connect(relay.url, { from: network(1, 1 + n) }));
  const newcomers = [];
  for (let n = 0; n < 3; n += 1) newcomers.push(await Stranger.connect(relay.url, { from: network(2 + n) }).catch(() => null));
  held.push(...newcomers.filter(Boolean));
  await wait(200);
  const displaced = held.slice(0, 12).filter((peer) => peer.closed !== null).length;
  attacked({ room: "relay", kind: "seats", name: "all places of peers taken", spent: "12 of 12 places", lost: `${newcomers.filter((peer) => !peer).length} of 3 newcomers`, held: newcomers.every(Boolean) && newcomers.every((peer) => peer.closed === null) && displaced === 3 });
});

test("a network that opens connections as fast as it can leaves the port to others", async () => {
  await relayWith({});
  const base = MEASURES ? await goodP99(relay) : null;
  let opened = 0;
  let runs = true;
  const flood = Array.from({ length: 8 }, async () => {
    while (runs) {
      const raw = await Raw.connect(relay.port, { from: network(1) });
      opened += 1;
      raw.reset();
    }
  });
  const answers = [];
  for (let n = 0; n < 20; n += 1) answers.push(await ask(relay.port));
  const figures = MEASURES ? { good_client_p99_ratio: (await goodP99(relay)) / base } : {};
  runs = false;
  await Promise.all(flood);
  attacked({ room: "relay", kind: "seats", name: "connections opened and reset", spent: `${opened} connections`, lost: `${answers.filter((status) => status !== 200).length} of 20 answers`, held: answers.every((status) => status === 200), figures });
});

test("tabs that vanish are not counted as malformed", async () => {
  await relayWith({});
  for (let n = 0; n < 10; n += 1) {
    const raw = await rawSocket(relay, network(1));
    raw.say(wsFrame(0x02, "half a message"));
    raw.reset();
  }
  const tabs = await Promise.all(Array.from({ length: 10 }, () => rawSocket(relay, network(2))));
  tabs.forEach((raw) => raw.reset());
  await until(async () => (await relay.metric("peeredge_sockets")) === 0);
  const lost = await relay.metric('peeredge_sockets_closed_total{reason="lost"}');
  const malformed = await relay.metric('peeredge_errors_total{code="malformed"}');
  attacked({ room: "relay", kind: "lifecycle", name: "tabs that vanish", spent: "20 resets, ten in the middle of a message", lost: `${malformed} counted as malformed, ${lost} as lost`, held: lost === 20 && malformed === 0 });
});
