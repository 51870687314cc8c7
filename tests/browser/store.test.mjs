import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Stage } from "./harness.mjs";
import { contract } from "./store-contract.mjs";

let stage;
let tab;
beforeAll(async () => {
  stage = await Stage.open({ relay: false });
  tab = await stage.tab();
  await tab.run(() => {
    window.worker = new Worker("/store-worker.mjs", { type: "module" });
    window.runCase = (message) =>
      new Promise((resolve) => {
        window.worker.onmessage = ({ data }) => resolve(data);
        window.worker.postMessage(message);
      });
  });
});
afterAll(() => stage?.close());

for (const kind of ["memory", "opfs"]) {
  describe(`the ${kind} store in a worker`, () => {
    for (const name of Object.keys(contract)) {
      test(name, async () => {
        expect(await tab.run((message) => window.runCase(message), { kind, name })).toBeNull();
      });
    }
  });
}

describe("tabs of one origin", () => {
  test("a second peer in a page has a store of its own, and leaves the first one's alone", async () => {
    const tab = await stage.tab();
    const id = await tab.create();
    // As text: the test runner rewrites imports that it sees.
    const other = await tab.run(`import("/peeredge/dist/index.js").then(async ({ createPeer }) => {
      const peer = await createPeer({ relay: "http://127.0.0.1:59999", consent: "granted" });
      const { store } = await peer.stats();
      await peer.close();
      return { id: peer.id, store };
    })`);
    expect(other.store).toBe("opfs");
    expect(other.id).not.toBe(id);
    await tab.reload();
    expect(await tab.create()).toBe(id);
    await tab.context.close();
  });

  test("have a store each, and each its own again after a reload", async () => {
    const first = await stage.tab();
    const second = await stage.tab({ context: first.context });
    const ids = [await first.create(), await second.create()];
    expect(ids[0]).not.toBe(ids[1]);
    const { link } = await second.publish({ seed: 4, length: 3_000_000 });
    await second.reload();
    await first.reload();
    // In the other order than before: the slot belongs to the tab, not to who comes first.
    expect(await second.create()).toBe(ids[1]);
    expect(await first.create()).toBe(ids[0]);
    expect(await second.fetch(link, { seed: 4 })).toMatchObject({ status: 200, bytes: 3_000_000 });
    expect((await first.stats()).contents).toEqual([]);
    await second.remove(link);
    await second.reload();
    await second.create();
    expect((await second.stats()).contents).toEqual([]);
    await first.context.close();
  });
});
