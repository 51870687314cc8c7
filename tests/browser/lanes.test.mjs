// Several connections to one peer on a path with loss, one on a path that a queue fills; in real tabs, through the link lab.
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PEEREDGE } from "./relay.mjs";
import { Lab } from "../lab/lab.mjs";
import { MIB } from "./flows/flow.mjs";
import { Stage, temporaryFolder } from "./harness.mjs";
import { randomBytes } from "./random.mjs";

let stage;
let lab;
beforeAll(async () => {
  lab = await Lab.start();
  stage = await Stage.open({ relay: { settings: { hosts: "*" } } });
  await lab.endpoint("relay");
});
afterAll(async () => {
  await stage?.close();
  await lab?.stop();
});

/** The most connections that a receiver has to its only sender while a file arrives, the last number of them, and how many it made in all. */
async function connectionsOver(name, up, length) {
  const tabs = {};
  for (const who of ["giver", "taker"]) {
    await lab.endpoint(`${name} ${who}`, { up });
    tabs[who] = await stage.tab();
    await tabs[who].create({ relay: await lab.gate(`${name} ${who}`, "relay", stage.relay.url), tuning: { http: false } });
  }
  const { link } = await tabs.giver.publish({ seed: 8, length });
  const fetch = await tabs.taker.start(link, { seed: 8 });
  let [most, last, made] = [0, 0, 0];
  let result = null;
  void tabs.taker.finished(fetch).then((done) => (result = done));
  while (!result) {
    const { peers, connectionsMade } = await tabs.taker.stats();
    made = connectionsMade;
    // The relay's own peer does not have this.
    last = Math.max(0, ...peers.filter((peer) => !peer.isRelay).map((peer) => peer.connections));
    most = Math.max(most, last);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  expect(result).toMatchObject({ status: 200, bytes: length });
  await stage.closeTabs();
  return { most, last, made };
}

test("loss without a queue: up to eight connections carry one transfer", async () => {
  const { most } = await connectionsOver("lossy", { delay_ms: 20, loss: 0.02 }, 8 * MIB);
  expect(most).toBeGreaterThan(3);
  expect(most).toBeLessThanOrEqual(8);
});

// What tells a full queue from loss is time, which a machine that is busy with other things distorts: 1 of 4 such runs ended with eight.
test("a full queue without loss: more are tried once at most, and one is left, so that the path is left to others", { retry: 2 }, async () => {
  // 400 kB/s behind 256 KiB: more than half a second of queue.
  const { last, made } = await connectionsOver("queued", { delay_ms: 20, bytes_per_s: 400_000, queue_bytes: 256 << 10 }, 5 * MIB);
  expect(made).toBeLessThanOrEqual(8);
  expect(last).toBe(1);
});

/** A bare data channel from a tab at one endpoint of the lab to one at another: gives the receiving tab, which counts. */
async function flood(from, to) {
  const tabs = [await stage.tab(), await stage.tab()];
  for (const tab of tabs) {
    await tab.page.evaluate(`import("/channel.mjs").then((module) => void (window.channel = module))`);
    await tab.run(() => channel.open());
  }
  const [sender, receiver] = tabs;
  const offer = await lab.rewrite(from, to, await sender.run(() => channel.describe()));
  const answer = await lab.rewrite(to, from, await receiver.run((offer) => channel.describe(offer), offer));
  await sender.run((answer) => channel.accept(answer), answer);
  for (const tab of tabs) await tab.run(() => channel.opened());
  await receiver.run(() => channel.count());
  void sender.run(() => channel.flood(16384)).catch(() => undefined);
  return receiver;
}

test("beside a bare data channel on one full uplink a transfer takes its share and no more, whatever connections it could open", async () => {
  const length = 3 * MIB;
  await lab.endpoint("shared giver", { up: { delay_ms: 20, bytes_per_s: 200_000, queue_bytes: 64 << 10 } });
  for (const who of ["shared taker", "shared other"]) await lab.endpoint(who, { up: { delay_ms: 20 } });
  const other = await flood("shared giver", "shared other");
  const [giver, taker] = [await stage.tab(), await stage.tab()];
  await giver.create({ relay: await lab.gate("shared giver", "relay", stage.relay.url), tuning: { http: false } });
  await taker.create({ relay: await lab.gate("shared taker", "relay", stage.relay.url), tuning: { http: false } });
  const { link } = await giver.publish({ seed: 10, length });
  const fetch = await taker.start(link, { seed: 10 });
  await taker.reach(fetch, 1);
  const before = await other.run(() => channel.counted());
  expect(await taker.finished(fetch)).toMatchObject({ status: 200, bytes: length });
  const beside = (await other.run(() => channel.counted())) - before;
  await stage.closeTabs();
  // Half of the uplink would be its share; windows that halve by chance take turns, and the first seconds go by until lanes are closed; eight
  // connections to the end would leave a ninth.
  expect(beside / (beside + length)).toBeGreaterThan(0.3);
});

test("`peeredge get` opens more of them, too, where loss holds one back", async () => {
  const length = 6 * MIB;
  const up = { delay_ms: 20, loss: 0.02 };
  for (const who of ["native giver", "native taker"]) await lab.endpoint(who, { up });
  const giver = await stage.tab();
  await giver.create({ relay: await lab.gate("native giver", "relay", stage.relay.url) });
  const { content } = await giver.publish({ seed: 9, length });
  const path = join(temporaryFolder("get"), "got.bin");
  const relay = await lab.gate("native taker", "relay", stage.relay.url);
  // The relay never had it, so every byte comes from the tab.
  const got = promisify(execFile)(PEEREDGE, ["get", `${relay}/c/${content}`, "-o", path, "--no-http", "--quiet"], { timeout: 120_000 });
  let over = false;
  const done = got.finally(() => (over = true));
  let most = 0;
  while (!over) {
    const { peers } = await giver.stats();
    most = Math.max(most, ...peers.map((peer) => peer.connections));
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await done;
  expect(Buffer.compare(readFileSync(path), randomBytes(9, length))).toBe(0);
  expect(most).toBeGreaterThan(3);
  expect(most).toBeLessThanOrEqual(8);
  await stage.closeTabs();
});
