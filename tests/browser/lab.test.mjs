// The link lab between real tabs and the real relay: everything that they say to each other goes through it.
import { afterAll, beforeAll, expect, test } from "vitest";
import { Lab } from "../lab/lab.mjs";
import { MIB, publishedLink, randomFile } from "./flows/flow.mjs";
import { Stage } from "./harness.mjs";

const LENGTH = 2 * MIB;
const DELAY_MS = 20;

let stage;
let lab;
beforeAll(async () => {
  lab = await Lab.start();
  stage = await Stage.open({ relay: { publish: [randomFile(7, LENGTH)], settings: { hosts: "*" } } });
  await lab.endpoint("relay");
});
afterAll(async () => {
  await stage?.close();
  await lab?.stop();
});

test("a bare data channel pays the delay of both directions, and its packets are counted", async () => {
  for (const name of ["one", "two"]) await lab.endpoint(name, { up: { delay_ms: DELAY_MS } });
  const [one, two] = [await stage.tab(), await stage.tab()];
  for (const tab of [one, two]) {
    await tab.run(() => {
      const rtc = new RTCPeerConnection();
      window.raw = { rtc, channel: rtc.createDataChannel("raw", { negotiated: true, id: 0 }) };
      window.describe = async () => {
        await rtc.setLocalDescription();
        while (rtc.iceGatheringState !== "complete") await new Promise((resolve) => (rtc.onicegatheringstatechange = resolve));
        return { type: rtc.localDescription.type, sdp: rtc.localDescription.sdp };
      };
    });
  }
  const offer = await lab.rewrite("one", "two", await one.run(() => describe()));
  const answer = await two.run((offer) => raw.rtc.setRemoteDescription(offer).then(describe), offer);
  await one.run((answer) => raw.rtc.setRemoteDescription(answer), await lab.rewrite("two", "one", answer));
  for (const tab of [one, two]) {
    await tab.run(() => raw.channel.readyState === "open" || new Promise((resolve) => (raw.channel.onopen = () => resolve(true))));
  }
  await two.run(() => void (raw.channel.onmessage = ({ data }) => raw.channel.send(data)));
  const roundTripMs = await one.run(async () => {
    const began = performance.now();
    const back = new Promise((resolve) => (raw.channel.onmessage = resolve));
    raw.channel.send("there and back");
    await back;
    return performance.now() - began;
  });
  expect(roundTripMs).toBeGreaterThanOrEqual(2 * DELAY_MS);
  for (const name of ["one", "two"]) expect((await lab.counts(name)).up.packets).toBeGreaterThan(3);
  await stage.closeTabs();
});

test("tabs reach each other only through the lab", async () => {
  const tabs = {};
  for (const name of ["giver", "taker"]) {
    await lab.endpoint(name, { up: { delay_ms: 5 }, down: { loss: 0.001 } });
    tabs[name] = await stage.tab();
    await tabs[name].create({ relay: await lab.gate(name, "relay", stage.relay.url), tuning: { http: false } });
  }
  const { link } = await tabs.giver.publish({ seed: 3, length: LENGTH });
  expect(await tabs.taker.fetch(link, { seed: 3 })).toMatchObject({ status: 200, bytes: LENGTH });
  expect((await lab.counts("giver")).up.bytes).toBeGreaterThan(LENGTH);
  expect((await lab.counts("taker")).down.bytes).toBeGreaterThan(LENGTH);
  await stage.closeTabs();
});

for (const [what, tuning, counter] of [
  ["data channel", { http: false }, "fromRelayBytes"],
  ["HTTP", { httpAfterMs: 0 }, null],
]) {
  test(`a tab reaches the relay only through the lab, by ${what}`, async () => {
    const name = `by ${what}`;
    await lab.endpoint(name, { up: { delay_ms: 5 }, down: { delay_ms: 5 } });
    const before = (await lab.counts("relay")).up.bytes;
    const tab = await stage.tab();
    await tab.create({ relay: await lab.gate(name, "relay", stage.relay.url), tuning });
    const link = await publishedLink(stage.relay);
    expect(await tab.fetch(link, { seed: 7 })).toMatchObject({ status: 200, bytes: LENGTH });
    if (counter) expect((await tab.stats())[counter]).toBe(LENGTH);
    expect((await lab.counts("relay")).up.bytes - before).toBeGreaterThan(LENGTH);
    await stage.closeTabs();
  });
}

test("an uplink that is cut in the middle carries nothing more", async () => {
  await lab.endpoint("cut", { up: { bytes_per_s: 400_000, delay_ms: 5 } });
  const giver = await stage.tab();
  await giver.create({ relay: await lab.gate("cut", "relay", stage.relay.url) });
  await lab.endpoint("reader");
  const reader = await stage.tab();
  await reader.create({ relay: await lab.gate("reader", "relay", stage.relay.url), tuning: { http: false, giveUpAfterMs: 3_000 } });
  const { link } = await giver.publish({ seed: 4, length: 8 * LENGTH });
  const fetch = await reader.start(link, { seed: 4 });
  await reader.reach(fetch, 1);
  await lab.endpoint("cut", { up: { loss: 1 } });
  await expect(reader.finished(fetch)).rejects.toThrow("unavailable");
  await stage.closeTabs();
});
