// Bad input ends in its own typed error, and disturbs nobody: all the while two other tabs go on with a transfer.
import { createServer } from "node:http";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Stage } from "../harness.mjs";
import { MIB, liar, refusal } from "./flow.mjs";

const LENGTH = 32 * MIB;

let stage;
let bystanders;
beforeAll(async () => {
  stage = await Stage.open();
  const [a, b] = [await stage.tab(), await stage.tab()];
  // So slow that the transfer lasts until the end of the tests; then it is let run.
  await a.create({ caps: { uploadBytesPerSecond: 100_000 } });
  await b.create();
  const { link } = await a.publish({ seed: 11, length: LENGTH });
  const number = await b.start(link, { seed: 11 });
  await b.reach(number, 1);
  bystanders = { a, b, number };
});

afterAll(async () => {
  await stage?.close();
});

test("the relay refuses what is no message, and says why", async () => {
  const tab = await stage.tab();
  /** Opens a socket, sends, and gives the close's code and reason, and the tag and code of the last frame before it. */
  const told = (source) =>
    tab.run(
      ([url, source]) =>
        new Promise((resolve) => {
          const socket = new WebSocket(`${url.replace(/^http/, "ws")}/ws`);
          socket.binaryType = "arraybuffer";
          socket.onopen = () => socket.send((0, eval)(source));
          socket.onclose = ({ code, reason }) => resolve(`${code} ${reason}`);
        }),
      [stage.relay.url, source],
    );
  expect(await told(`crypto.getRandomValues(new Uint8Array(1000)).fill(0xee, 0, 1)`)).toBe("1008 malformed");
  expect(await told(`new Uint8Array(0)`)).toBe("1008 malformed");
  expect(await told(`"text"`)).toBe("1008 malformed");
  // A withdrawal, well formed, before any hello.
  expect(await told(`new Uint8Array(33).fill(3, 0, 1)`)).toBe("1008 out_of_order");
  // A hello of version 3 to this relay's address, whose signature is nobody's; then one of another version.
  const host = new URL(stage.relay.url).host;
  const hello = `Uint8Array.from([1, 3, ...Array(97).fill(0), ${host.length}, ...new TextEncoder().encode("${host}")])`;
  expect(await told(hello)).toBe("1008 unauthorised");
  expect(await told(`new Uint8Array(1 + 2 + 32 + 64).fill(1, 0, 1).fill(2, 1, 2)`)).toBe("1008 version");
  expect(await told(`new Uint8Array(40_000)`)).toBe("1009 too_large");
  expect(await told(`new Uint8Array(100 << 20)`)).toBe("1009 too_large");
  for (const [code, count] of Object.entries({ malformed: 3, out_of_order: 1, unauthorised: 1, version: 1, too_large: 2 })) {
    expect(await stage.relay.metric(`peeredge_errors_total{code="${code}"}`)).toBe(count);
  }
  await tab.close();
});

test("a link that is none, one to nothing, and an unknown option have codes of their own", async () => {
  const tab = await stage.tab();
  await tab.create({ tuning: { giveUpAfterMs: 1_000 } });
  const id = "a".repeat(52);
  for (const link of ["", "peeredge:", `peeredge:${id}a`, `peeredge:${id.replace(/a/g, "A!")}`, `${stage.relay.url}/d/${id}`, "%"]) {
    expect(await refusal(tab.fetch(link))).toMatch(/^invalid_link/);
  }
  expect(await refusal(tab.fetch(`peeredge:${id}`))).toMatch(/^unavailable/);
  expect(await refusal(tab.run(() => harness.peer().setCaps({ uploadBytes: -1 })))).toMatch("uploadBytes");
  await tab.close();
});

test("a peer's manifest that lies about sizes is proof against it", async () => {
  const lying = await liar(stage, "sizes");
  const { link, content } = await lying.publish({ seed: 12, length: MIB });
  const tab = await stage.tab();
  await tab.create({ tuning: { giveUpAfterMs: 2_000 } });
  expect(await refusal(tab.fetch(link))).toMatch(/^manifest_invalid/);
  await tab.event("blame", { peer: await lying.run(() => harness.peer().id), content });
  await tab.close();
  await lying.close();
});

test("a relay's manifest that lies about sizes is refused, too", async () => {
  const server = createServer((request, response) => {
    const [, kind] = request.url.split("/");
    if (kind !== "m") return response.writeHead(404, { "access-control-allow-origin": "*" }).end();
    // Form 1, a length of almost 2^64, no record at all.
    const manifest = Buffer.from([1, ...Array(8).fill(0xfe), 0, 64, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0]);
    response.writeHead(200, { "access-control-allow-origin": "*" }).end(manifest);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const tab = await stage.tab();
  await tab.create({ relay: `http://127.0.0.1:${server.address().port}`, tuning: { giveUpAfterMs: 1_000 } });
  expect(await refusal(tab.fetch(`peeredge:${"a".repeat(52)}`))).toMatch(/^manifest_invalid/);
  expect((await tab.stats()).rejectedBytes).toBeGreaterThan(0);
  await tab.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

test("symbols with an index far behind the block's end are proof against their sender", async () => {
  const lying = await liar(stage, "index");
  const { link } = await lying.publish({ seed: 13, length: MIB });
  const tab = await stage.tab();
  await tab.create({ tuning: { giveUpAfterMs: 2_000 } });
  expect(await refusal(tab.fetch(link, { seed: 13 }))).toMatch(/^unavailable/);
  await tab.event("blame", { peer: await lying.run(() => harness.peer().id), coded: false });
  await tab.close();
  await lying.close();
});

test("wants of what does not exist are refused, and others' are answered", async () => {
  const source = await stage.tab();
  await source.create();
  const { link } = await source.publish({ seed: 14, length: 4 * MIB });
  const asking = await liar(stage, "wants");
  // Its own engine takes the refusals for talk that nobody asked for: it harms itself alone.
  await asking.start(link);
  const tab = await stage.tab();
  await tab.create();
  expect(await tab.fetch(link, { seed: 14 })).toMatchObject({ status: 200, bytes: 4 * MIB });
  expect((await source.stats()).sentBytes).toBeGreaterThanOrEqual(4 * MIB);
  await tab.close();
  expect(source.errors).toEqual([]);
  await asking.close();
  await source.close();
});

test("noise on a data channel ends that channel only", async () => {
  const source = await stage.tab();
  const id = await source.create();
  const { link } = await source.publish({ seed: 15, length: 4 * MIB });
  const noisy = await liar(stage, "noise");
  const number = await noisy.start(link);
  await noisy.event("peer", { peer: id, state: "closed" });
  expect(await noisy.read(number)).toBe(0);
  const tab = await stage.tab();
  await tab.create();
  expect(await tab.fetch(link, { seed: 15 })).toMatchObject({ status: 200, bytes: 4 * MIB });
  expect(source.errors).toEqual([]);
  for (const other of [noisy, tab, source]) await other.close();
});

test("the bystanders were not disturbed", async () => {
  const { a, b, number } = bystanders;
  expect((await b.stats()).contents[0].heldBytes).toBeLessThan(LENGTH);
  await a.setCaps({ uploadBytesPerSecond: Infinity });
  expect(await b.finished(number)).toMatchObject({ status: 200, bytes: LENGTH });
  for (const tab of [a, b]) {
    const names = (await tab.events()).map(({ name, detail }) => `${name} ${detail.state ?? ""}`.trim());
    // Connected once, for good, to the relay and to each other.
    expect(names.sort()).toEqual([...(tab === b ? ["complete"] : []), "peer opened", "relay ready"]);
    expect(tab.errors).toEqual([]);
    const { duplicateBytes, ...stats } = await tab.stats();
    expect(stats).toMatchObject({ relayConnected: true, rejectedBytes: 0 });
    // A machine that halts for seconds makes a source look dead, and what was asked of it is asked again.
    expect(duplicateBytes).toBeLessThan(LENGTH / 10);
  }
  expect(stage.relay.log).not.toMatch(/panic/);
});
