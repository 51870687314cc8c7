// A peer that flips bits is named by proof, dropped and reported, and no wrong byte gets anywhere.
import { afterEach, expect, test } from "vitest";
import { Stage } from "../harness.mjs";
import { MIB, liar, refusal } from "./flow.mjs";

const LENGTH = 16 * MIB;

let stage;
afterEach(() => stage?.close());

for (const coded of [false, true]) {
  test(`bits flipped in ${coded ? "coded" : "source"} symbols`, async () => {
    stage = await Stage.open();
    const honest = await stage.tab();
    await honest.create({ caps: { uploadBytesPerSecond: 3_000_000 } });
    const polluter = await liar(stage, "flips", coded);
    const { link, content } = await honest.publish({ seed: 5, length: LENGTH });
    expect((await polluter.publish({ seed: 5, length: LENGTH })).content).toBe(content);
    const accused = await polluter.run(() => harness.peer().id);

    const receiver = await stage.tab();
    await receiver.create({ tuning: { codedPermille: coded ? 1000 : 0, http: false } });
    expect(await receiver.fetch(link, { seed: 5 })).toMatchObject({ status: 200, bytes: LENGTH });

    // Named, with the proof's kind.
    const blames = (await receiver.events()).filter((event) => event.name === "blame");
    expect(blames.map((event) => event.detail)).toEqual([{ peer: accused, content, block: expect.any(Number), coded }]);
    // Dropped, and not spoken to again.
    await receiver.event("peer", { peer: accused, state: "closed" });
    const { peers, rejectedBytes } = await receiver.stats();
    expect(peers.map((peer) => peer.peer)).not.toContain(accused);
    expect(rejectedBytes).toBeGreaterThan(0);
    // Reported.
    expect(await stage.relay.metric("peeredge_blames_total")).toBe(1);

    // Another peer that gets it from this one gets right bytes only ...
    await honest.close();
    await polluter.close();
    const next = await stage.tab();
    await next.create({ tuning: { http: false } });
    expect(await next.fetch(link, { seed: 5 })).toMatchObject({ status: 200, bytes: LENGTH });
    expect((await next.stats()).rejectedBytes).toBe(0);
    await next.close();
    // ... and so does this one from its store.
    await receiver.reload();
    await receiver.create({ tuning: { http: false } });
    expect(await receiver.fetch(link, { seed: 5 })).toMatchObject({ status: 200, bytes: LENGTH });
    expect(await receiver.stats()).toMatchObject({ fromPeersBytes: 0, rejectedBytes: 0 });
  });
}

test("a polluter alone delivers nothing, until an honest peer comes", async () => {
  stage = await Stage.open();
  const polluter = await liar(stage, "flips", false);
  const { link } = await polluter.publish({ seed: 6, length: MIB });
  const receiver = await stage.tab();
  await receiver.create({ tuning: { http: false, giveUpAfterMs: 2_000 } });
  expect(await refusal(receiver.fetch(link, { seed: 6 }))).toMatch("unavailable");
  await receiver.event("blame", { coded: false });

  const honest = await stage.tab();
  await honest.create();
  await honest.publish({ seed: 6, length: MIB });
  expect(await receiver.fetch(link, { seed: 6 })).toMatchObject({ status: 200, bytes: MIB });
});
