// Strangers that were introduced to a page, and signal: nothing is made of what is no offer of one data channel, and honest visitors
// find the page as before.
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { Stage } from "../browser/harness.mjs";
import { attacked } from "./attack.mjs";
import { RawEnd, eventually, exchanges, introduced, seen, victim } from "./page.mjs";

const room = "page";

let stage;
beforeAll(async () => {
  stage = await Stage.open();
});
afterEach(() => stage.closeTabs());
afterAll(() => stage?.close());

/** Sends offers, each under a session of its own, as fast as the relay takes them. */
async function flood(stranger, count, signal) {
  for (let at = 0; at < count; at++) {
    stranger.offer(typeof signal === "function" ? signal(at) : signal);
    if (at % 20 === 19) await stranger.settled(100);
  }
  await stranger.settled(500);
}

test("400 signals of one byte make nothing, and cost no connection", async () => {
  const target = await victim(stage);
  const stranger = await introduced(stage, target);
  const before = (await seen(target.tab)).made;
  await flood(stranger, 400, "x");
  const { made, open } = await seen(target.tab);
  const works = await exchanges(stage, target);
  expect(target.tab.errors).toEqual([]);
  attacked({
    room,
    kind: "spending",
    name: "one-byte signals to a page",
    spent: `400 signals, ${stranger.sent} bytes`,
    lost: `${made - before} connections made, ${open} open, exchange ${works ? "goes on" : "is over"}`,
    held: made === before && works,
  });
  stranger.close();
});

test("offers that are no descriptions make nothing", async () => {
  const target = await victim(stage);
  const stranger = await introduced(stage, target);
  const before = (await seen(target.tab)).made;
  const bad = ["", "v=0", "v=0\r\nm=audio 9 RTP/AVP 0\r\n", "\0".repeat(9000), "v=0\r\n".repeat(2000), 7, null, { length: 5 }];
  await flood(stranger, 40, (at) => ({ type: at % 2 ? "offer" : "answer", sdp: bad[at % bad.length] }));
  const { made } = await seen(target.tab);
  attacked({
    room,
    kind: "page",
    name: "offers that do not parse",
    spent: "40 offers",
    lost: `${made - before} connections made`,
    held: made === before && target.tab.errors.length === 0,
  });
  stranger.close();
});

test("an offer with audio and video beside the channel is not answered, nor decoded", async () => {
  const target = await victim(stage);
  const stranger = await introduced(stage, target);
  const end = await RawEnd.open(stage);
  const before = (await seen(target.tab)).made;
  const sdp = await end.offer(stranger, { media: true, settleMs: 1_000 });
  expect(sdp).toMatch("m=audio");
  expect(sdp).toMatch("m=application");
  const { made, described, tracks } = await seen(target.tab);
  attacked({
    room,
    kind: "page",
    name: "offer with audio and video",
    spent: "1 offer",
    lost: `${made - before} connections, ${stranger.answers().length} answers, ${tracks} tracks`,
    held: made === before && described.length === 0 && tracks === 0 && stranger.answers().length === 0,
  });
  stranger.close();
});

test("media smuggled into the data section, or refused by its port, is no offer either", async () => {
  const target = await victim(stage);
  const stranger = await introduced(stage, target);
  const end = await RawEnd.open(stage);
  const sdp = await end.offer(stranger, { settleMs: 1_000 });
  await eventually(() => stranger.answers().some(({ type }) => type === "answer"), "the honest offer is answered");
  const before = (await seen(target.tab)).described.length;
  const lines = ["a=rtpmap:96 VP8/90000", "a=ssrc:1 cname:x", "m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:1", "a=identity:e30=", "a=x:y"];
  for (const line of lines) {
    stranger.offer({ type: "offer", sdp: `${sdp}${line}\r\n` });
    await stranger.settled(100);
  }
  await stranger.settled(500);
  const { described } = await seen(target.tab);
  attacked({
    room,
    kind: "page",
    name: "media lines in a data channel's description",
    spent: `${lines.length} offers`,
    lost: `${described.length - before} given to the browser`,
    held: described.length === before,
  });
  stranger.close();
});

test("a second offer over a connection that stands, with media this time, ends it", async () => {
  const target = await victim(stage);
  const stranger = await introduced(stage, target);
  const end = await RawEnd.open(stage);
  const sdp = await end.offer(stranger);
  expect(await end.connect(stranger)).toBe(true);
  stranger.add({ type: "offer", sdp: sdp.replace("o=- ", "o=- 1") });
  const closed = await end.closed();
  const { described } = await seen(target.tab);
  attacked({
    room,
    kind: "page",
    name: "renegotiation of an open connection",
    spent: "2 offers",
    lost: `${described.length - 1} further descriptions taken`,
    held: closed && described.length === 1,
  });
  stranger.close();
});

test("candidates without end, over TCP, and with names to look up do not reach the browser", async () => {
  const target = await victim(stage);
  const stranger = await introduced(stage, target);
  const end = await RawEnd.open(stage);
  await end.offer(stranger, { settleMs: 500 });
  const candidate = (address, transport = "udp", rest = "") => ({
    type: "candidate",
    mid: "0",
    candidate: `candidate:1 1 ${transport} 2113937151 ${address} 9 typ host${rest}`,
  });
  const passedOver = [candidate("victim.example"), candidate("127.0.0.1", "tcp", " tcptype passive"), candidate("255.255.255.255"), candidate("239.0.0.1"), candidate("0.0.0.0")];
  for (const signal of passedOver) stranger.add(signal);
  await stranger.settled(500);
  const few = (await seen(target.tab)).candidates.length;
  for (let at = 0; at < 200; at++) {
    stranger.add(candidate(`10.0.${at}.1`));
    if (at % 20 === 19) await stranger.settled(100);
  }
  await stranger.settled(500);
  const { candidates, open } = await seen(target.tab);
  attacked({
    room,
    kind: "amplifying",
    name: "candidates without end, TCP, names to look up",
    spent: `${200 + passedOver.length} candidates`,
    lost: `${few} of ${passedOver.length} odd ones and ${candidates.length} in all given to the browser, ${open} connections left`,
    held: few === 0 && candidates.length <= 64,
    figures: {},
  });
  stranger.close();
});

test("who opens a channel of its own is hung up on", async () => {
  const target = await victim(stage);
  const stranger = await introduced(stage, target);
  const end = await RawEnd.open(stage);
  await end.offer(stranger);
  expect(await end.connect(stranger)).toBe(true);
  await end.tab.run(() => void Array.from({ length: 100 }, (_, at) => window.rtc.createDataChannel(`more ${at}`)));
  const closed = await end.closed();
  attacked({
    room,
    kind: "page",
    name: "100 further data channels",
    spent: "1 connection",
    lost: closed ? "nothing" : "100 channels held",
    held: closed,
  });
  stranger.close();
});

for (const [name, source] of [
  ["texts", "'x'.repeat(100_000)"],
  ["blobs of noise", "new Blob([crypto.getRandomValues(new Uint8Array(60_000))])"],
  ["empty messages", "new ArrayBuffer(0)"],
  ["a message as large as a channel takes", "new Uint8Array(262_144).fill(0xee)"],
]) {
  test(`who sends ${name} over the channel is hung up on, and nobody else notices`, async () => {
    const target = await victim(stage);
    const stranger = await introduced(stage, target);
    const end = await RawEnd.open(stage);
    await end.offer(stranger);
    expect(await end.connect(stranger)).toBe(true);
    await end.tab.run((source) => {
      for (let at = 0; at < 50; at++) {
        try {
          window.channel.send((0, eval)(source));
        } catch {
          // Closed, or full.
        }
      }
    }, source);
    const closed = await end.closed();
    const works = await exchanges(stage, target);
    expect(target.tab.errors).toEqual([]);
    attacked({
      room,
      kind: "page",
      name: `${name} on a data channel`,
      spent: "1 connection, 50 messages",
      lost: closed && works ? "nothing" : `closed: ${closed}, exchange: ${works}`,
      held: closed && works,
    });
    stranger.close();
  });
}
