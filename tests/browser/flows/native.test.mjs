// The native peer and the browser's are one protocol: each receives from the other over data channels.
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, expect, test } from "vitest";
import { PEEREDGE } from "../relay.mjs";
import { Stage, temporaryFolder } from "../harness.mjs";
import { randomBytes } from "../random.mjs";
import { MIB, publishedLink, randomFile } from "./flow.mjs";

const LENGTH = 16 * MIB;

let stage;
afterEach(() => stage?.close());

test("`peeredge get` receives from a tab", async () => {
  stage = await Stage.open({ relay: { settings: { rtc: false } } });
  const a = await stage.tab();
  await a.create();
  const { link } = await a.publish({ seed: 9, length: LENGTH });
  const path = join(temporaryFolder("get"), "got.bin");
  // The relay never had it, so every byte comes from the tab.
  await promisify(execFile)(PEEREDGE, ["get", link, "-o", path, "--no-http", "--quiet"], { timeout: 120_000 });
  expect(Buffer.compare(readFileSync(path), randomBytes(9, LENGTH))).toBe(0);
  expect((await a.stats()).sentBytes).toBeGreaterThanOrEqual(LENGTH);
});

test("a tab receives from the relay's own peer, over a data channel", async () => {
  stage = await Stage.open({ relay: { publish: [randomFile(10, LENGTH)] } });
  const link = await publishedLink(stage.relay);
  const b = await stage.tab();
  await b.create({ tuning: { http: false } });
  expect(await b.fetch(link, { seed: 10 })).toMatchObject({ status: 200, bytes: LENGTH });
  expect(await b.stats()).toMatchObject({ fromRelayBytes: LENGTH, fromPeersBytes: 0, fromHttpBytes: 0, rejectedBytes: 0 });
});
