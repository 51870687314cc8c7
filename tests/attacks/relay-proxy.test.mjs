// Behind a proxy, or as if: whose word about addresses is taken, and for whom the relay may be taken.
import { afterEach, test } from "vitest";
import { attacked } from "./attack.mjs";
import { Relay, ask, network } from "./relay-tools.mjs";
import { Stranger } from "./stranger.mjs";

let relay = null;
let held = [];
const relayWith = async (settings) => (relay = await Relay.start({ settings: { rtc: false, ...settings } }));

afterEach(async () => {
  for (const one of held) one.close();
  held = [];
  await relay?.stop();
  relay = null;
});

const admin = () => Number(new URL(relay.admin).port);
const here = "127.0.0.1";

test("the operator's pages are on a port of their own", async () => {
  await relayWith({});
  const open = await Promise.all(["/metrics", "/operator"].map((path) => ask(relay.port, { path, from: here })));
  const own = await Promise.all(["/metrics", "/operator"].map((path) => ask(admin(), { path, from: here })));
  attacked({ room: "relay", kind: "proxy", name: "the operator's pages on the public port", spent: "2 requests", lost: `${open} there, ${own} at the operator's`, held: open.every((status) => status === 403) && own.every((status) => status === 200) });
});

const MARKS = { "x-forwarded-for": "203.0.113.9", forwarded: "for=203.0.113.9", "x-real-ip": "203.0.113.9", "x-forwarded-proto": "https", via: "1.1 proxy" };

test("what a proxy passes on sees no operator's page on any port, without any setting", async () => {
  await relayWith({ metrics: "loopback" });
  const answers = [];
  for (const [name, value] of Object.entries(MARKS)) {
    for (const port of [relay.port, admin()]) answers.push(await ask(port, { path: "/metrics", from: here, headers: { [name]: value } }));
  }
  const direct = await ask(relay.port, { path: "/metrics", from: here });
  attacked({ room: "relay", kind: "proxy", name: "a proxy in front that nobody told the relay of", spent: `${answers.length} requests`, lost: `${answers.filter((status) => status === 200).length} pages`, held: direct === 200 && answers.every((status) => status === 403) });
});

test("a proxy that the relay was not told of is logged once, with the setting's name", async () => {
  await relayWith({});
  for (let n = 0; n < 20; n += 1) await ask(relay.port, { path: "/livez", from: here, headers: { "x-forwarded-for": "203.0.113.9" } });
  const said = relay.log.split("\n").filter((line) => line.includes("trusted_proxies")).length;
  attacked({ room: "relay", kind: "proxy", name: "forwarded headers in the log", spent: "20 requests", lost: `${said} lines`, held: said === 1 });
});

test("a header of a trusted proxy that cannot be read is refused", async () => {
  await relayWith({ trusted_proxies: here });
  const odd = ["203.0.113.9:4711", "unknown", "", "203.0.113.9,", "[2001:db8::1]", "127.0.0.1 203.0.113.9", "0x7f000001", "localhost", "1.2.3.4.5", "::ffff:1.2.3.4:80"];
  const answers = [];
  for (const value of odd) answers.push(await ask(relay.port, { from: here, headers: { "x-forwarded-for": value } }));
  const right = await ask(relay.port, { from: here, headers: { "x-forwarded-for": "garbage, 203.0.113.9" } });
  attacked({ room: "relay", kind: "proxy", name: "headers that cannot be read", spent: `${odd.length} requests`, lost: answers.join(" "), held: answers.every((status) => status === 400) && right === 200 });
});

test("a forged header behind a trusted proxy makes nobody the operator", async () => {
  await relayWith({ trusted_proxies: here, metrics: "loopback" });
  const forged = ["127.0.0.1", "127.0.0.1, 203.0.113.9", "203.0.113.9, 127.0.0.1", "::1", "127.0.0.1, 127.0.0.1"];
  const answers = [];
  for (const value of forged) for (const port of [relay.port, admin()]) answers.push(await ask(port, { path: "/metrics", from: here, headers: { "x-forwarded-for": value } }));
  const none = await ask(relay.port, { path: "/metrics", from: here });
  attacked({ room: "relay", kind: "proxy", name: "forged addresses through a trusted proxy", spent: `${answers.length + 1} requests`, lost: `${[...answers, none].filter((status) => status === 200).length} pages`, held: [...answers, none].every((status) => status === 403) });
});

test("behind a trusted proxy places are counted by client, whatever it claims before", async () => {
  await relayWith({ trusted_proxies: here, peers_per_owner_max: 3 });
  const join = (value) => Stranger.connect(relay.url, { from: here, headers: { "x-forwarded-for": value } }).catch(() => null);
  const one = [];
  // The client forges what stands before the address that the proxy adds.
  for (let n = 0; n < 6; n += 1) one.push(await join(`198.51.${n}.1, 203.0.113.${n}`));
  const others = [];
  for (let n = 0; n < 6; n += 1) others.push(await join(`192.0.${n}.1`));
  held.push(...[...one, ...others].filter(Boolean));
  const took = one.filter(Boolean).length;
  attacked({ room: "relay", kind: "proxy", name: "a client that forges where it is", spent: "6 keys", lost: `${took} places of 3`, held: took === 3 && others.every(Boolean) });
});

test("behind a proxy that is not trusted all clients share one network's places", async () => {
  await relayWith({ peers_per_owner_max: 3 });
  const peers = [];
  for (let n = 0; n < 6; n += 1) peers.push(await Stranger.connect(relay.url, { from: here, headers: { "x-forwarded-for": `192.0.${n}.1` } }).catch(() => null));
  held.push(...peers.filter(Boolean));
  attacked({ room: "relay", kind: "proxy", name: "forged networks without a proxy", spent: "6 keys", lost: `${peers.filter(Boolean).length} places of 3`, held: peers.filter(Boolean).length === 3 });
});

test("a page whose name points to this machine is answered nowhere", async () => {
  await relayWith({});
  const answers = [];
  for (const host of ["rebound.example", `rebound.example:${relay.port}`, "203.0.113.5", "127.0.0.1.rebound.example"]) {
    for (const path of ["/", "/api/contents", "/ws", "/c/x"]) answers.push(await ask(relay.port, { path, from: here, headers: { host } }));
    for (const path of ["/metrics", "/operator"]) answers.push(await ask(admin(), { path, from: here, headers: { host } }));
  }
  const own = await Promise.all(["localhost", `localhost:${relay.port}`, `127.0.0.1:${relay.port}`, "[::1]:9"].map((host) => ask(relay.port, { from: here, headers: { host } })));
  attacked({ room: "relay", kind: "proxy", name: "DNS rebinding", spent: `${answers.length} requests`, lost: `${answers.filter((status) => status !== 421).length} answered`, held: answers.every((status) => status === 421) && own.every((status) => status === 200) });
});

test("a target in absolute form and two hosts get around nothing", async () => {
  await relayWith({});
  const absolute = await ask(relay.port, { path: "http://rebound.example/api/contents", from: here });
  const two = await ask(relay.port, { from: here, headers: { host: `127.0.0.1\r\nhost: rebound.example` } });
  const none = await ask(relay.port, { from: here, headers: { host: "" } });
  attacked({ room: "relay", kind: "proxy", name: "hosts that contradict each other", spent: "3 requests", lost: `${absolute} ${two} ${none}`, held: absolute === 421 && two === 400 && none === 400 });
});

test("names of the settings are the relay's own, and no others", async () => {
  await relayWith({ hosts: "relay.example", public_url: "https://cdn.example:8443" });
  const answers = await Promise.all(["relay.example", "RELAY.example:1234", "cdn.example:8443"].map((host) => ask(relay.port, { from: here, headers: { host } })));
  const other = await ask(relay.port, { from: network(3), headers: { host: "other.example" } });
  attacked({ room: "relay", kind: "proxy", name: "names that the operator set", spent: "4 requests", lost: `${answers} ${other}`, held: answers.every((status) => status === 200) && other === 421 });
});
