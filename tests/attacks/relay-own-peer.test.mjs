// The relay's own peer: offers cost it a connection each, and must not stop it.
import { afterEach, test } from "vitest";
import { attacked, MEASURES } from "./attack.mjs";
import { Relay, fetchesByPeers, file, firstContent, folder, goodP99, network, until, wait } from "./relay-tools.mjs";
import { HEAR, Stranger } from "./stranger.mjs";
import { fromBase32 } from "./relay-base32.mjs";

let relay = null;
let files = null;
let held = [];
let content = null;

afterEach(async () => {
  for (const one of held) one.close();
  held = [];
  await relay?.stop();
  files?.remove();
  [relay, files] = [null, null];
});

async function withContent(settings = {}) {
  files = folder();
  relay = await Relay.start({ settings, publish: [file(`${files.path}/a.bin`, 300_000)] });
  content = await firstContent(relay);
}

/** A stranger that was told of the relay's own peer, as only then it may signal to it. */
async function introduced(from) {
  const stranger = await Stranger.connect(relay.url, { from });
  held.push(stranger);
  stranger.announce(fromBase32(content.id), 0, 4);
  const own = stranger.relay.toString("hex");
  await until(() => stranger.introduced().includes(own), 3_000);
  return stranger;
}

const offer = (n, candidates = 0) => {
  const lines = [
    "v=0", `o=- ${n + 1} 2 IN IP4 127.0.0.1`, "s=-", "t=0 0", "a=group:BUNDLE 0", "a=msid-semantic: WMS",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0", `a=ice-ufrag:u${n % 10_000}x`, "a=ice-pwd:abcdefghijklmnopqrstuvwx",
    "a=ice-options:trickle", `a=fingerprint:sha-256 ${Array.from({ length: 32 }, () => "AB").join(":")}`, "a=setup:actpass", "a=mid:0", "a=sctp-port:5000", "a=max-message-size:262144",
    ...Array.from({ length: candidates }, (_, at) => `a=candidate:${at} 1 udp 2122260223 127.${n & 127}.${at & 127}.7 ${1024 + at} typ host`),
  ];
  return JSON.stringify({ type: "offer", sdp: `${lines.join("\r\n")}\r\n` });
};

/** Sends what `blobs(n)` gives for sessions of their own, from so many sockets of one network, and then looks at a good peer. */
async function flood(name, { sockets = 60, rounds = 5, every = 1_000, blobs }) {
  await withContent();
  const base = MEASURES ? await goodP99(relay) : null;
  let under = null;
  const strangers = await Promise.all(Array.from({ length: sockets }, (_, n) => introduced(network(1, 1 + n))));
  let sent = 0;
  for (let round = 0; round < rounds; round += 1) {
    for (const stranger of strangers) {
      for (let n = 0; n < 40; n += 1) {
        for (const blob of blobs(sent)) stranger.signal(stranger.relay, BigInt(sent + 1) << 16n, blob);
        sent += 1;
      }
    }
    // A good client asks while the last round is under way.
    if (MEASURES && round === rounds - 1) under = await goodP99(relay);
    await wait(every);
  }
  const { came, ms } = await fetchesByPeers(content.link, 20_000);
  const ready = (await fetch(`${relay.url}/readyz`)).status;
  const stalls = await relay.metric('peeredge_stalls_total{part="peer"}');
  const began = performance.now();
  await relay.stop();
  const stopped = performance.now() - began;
  attacked({ room: "relay", kind: "tasks", name, spent: `${sent} sessions on ${sockets} sockets`, lost: `${came ? Math.round(ms) : "all"} ms for a fetch, ${stalls} stalls, stopped after ${Math.round(stopped)} ms`, held: came && ready === 200 && stalls === 0 && stopped < 8_000, figures: under === null ? {} : { good_client_p99_ratio: under / base } });
}

test("offers on sixty sockets of one network do not stop the relay's own peer", () => flood("offers on sixty sockets", { blobs: (n) => [offer(n)] }));
test("offers with hundreds of candidates do not stop it", () => flood("offers with many candidates", { sockets: 20, rounds: 2, blobs: (n) => [offer(n, 150)] }));
test("blobs that are no offers do not stop it", () =>
  flood("blobs that are no offers", {
    sockets: 20,
    rounds: 2,
    blobs: (n) => [["x", "{}", '{"type":"offer","sdp":""}', '{"type":"answer","sdp":"v=0"}', "[".repeat(8_000), `{"type":"offer","sdp":"${"v=0\\r\\n".repeat(2_000)}"}`, '{"type":"candidate","candidate":"x"}'][n % 7]],
  }));
test("candidates without an offer do not stop it", () =>
  flood("candidates without an offer", { sockets: 20, rounds: 2, blobs: () => Array.from({ length: 4 }, (_, at) => JSON.stringify({ type: "candidate", candidate: `candidate:${at} 1 udp 2122260223 127.0.0.9 ${2000 + at} typ host`, mid: "0" })) }));

test("connections that never open leave places for those that do", async () => {
  await withContent({ rtc_connections_max: 40 });
  const strangers = await Promise.all(Array.from({ length: 10 }, (_, n) => introduced(network(1, 1 + n))));
  let sent = 0;
  for (const stranger of strangers) for (let n = 0; n < 30; n += 1) stranger.signal(stranger.relay, BigInt(++sent) << 16n, offer(sent));
  await wait(1_000);
  const fetches = [];
  for (let n = 0; n < 2; n += 1) fetches.push(await fetchesByPeers(content.link));
  const answered = strangers.reduce((sum, stranger) => sum + stranger.heard(HEAR.signal).length, 0);
  attacked({ room: "relay", kind: "seats", name: "connections that never open", spent: `${sent} offers, ${answered} answered`, lost: `${fetches.filter(({ came }) => !came).length} of 2 fetches`, held: fetches.every(({ came }) => came) });
});
