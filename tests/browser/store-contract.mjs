// What every store must do, as cases that run anywhere: in Node, and in a worker of a real browser.
// `open()` gives a fresh store; `reopen(store)` closes it and opens what is left, or gives null where nothing is.

const ID = (letter) => letter.repeat(51) + "a";
const bytes = (length, seed = 1) => Uint8Array.from({ length }, (_, at) => (at * 31 + seed * 17) & 255);

function same(actual, expected, what) {
  const a = actual === null ? "nothing" : Array.from(actual).join();
  const b = expected === null ? "nothing" : Array.from(expected).join();
  if (a !== b) throw new Error(`${what}: ${a.slice(0, 80)} instead of ${b.slice(0, 80)}`);
}

function equal(actual, expected, what) {
  if (actual !== expected) throw new Error(`${what}: ${actual} instead of ${expected}`);
}

export const contract = {
  "keeps a key for each purpose, and none that it was not given": async ({ open, reopen }) => {
    const [a, b] = [await open(), await open()];
    same(await a.keptKey("live"), null, "a key before any");
    await a.keepKey("live", bytes(32, 1));
    await a.keepKey("work", bytes(32, 2));
    same(await b.keptKey("live"), null, "another tab's key");
    await b.close();
    const again = await reopen(a);
    if (!again) return;
    same(await again.keptKey("live"), bytes(32, 1), "the key of live contents");
    same(await again.keptKey("work"), bytes(32, 2), "the key of work");
    equal((await again.load()).length, 0, "contents");
    await again.close();
  },

  "reads what was written, across any boundary": async ({ open }) => {
    const store = await open();
    const data = bytes(700_000);
    await Promise.all([
      store.write(ID("b"), "data", 300_000, data.subarray(300_000)),
      store.write(ID("b"), "data", 0, data.subarray(0, 300_000)),
      store.write(ID("b"), "records", 0, bytes(64, 5)),
    ]);
    same(await store.read(ID("b"), "data", 262_100, 100_000), data.subarray(262_100, 362_100), "a range");
    same(await store.read(ID("b"), "data", 0, 700_000), data, "all");
    same(await store.read(ID("b"), "records", 0, 64), bytes(64, 5), "records");
    await store.close();
  },

  "reads nothing rather than too little": async ({ open }) => {
    const store = await open();
    same(await store.read(ID("c"), "data", 0, 1), null, "an unknown content");
    await store.write(ID("c"), "data", 0, bytes(100));
    same(await store.read(ID("c"), "data", 50, 51), null, "behind the end");
    same(await store.read(ID("c"), "records", 0, 1), null, "an empty area");
    await store.close();
  },

  "keeps the order of calls on one content": async ({ open }) => {
    const store = await open();
    void store.write(ID("d"), "data", 0, bytes(10, 1));
    void store.write(ID("d"), "data", 0, bytes(10, 2));
    same(await store.read(ID("d"), "data", 0, 10), bytes(10, 2), "the later write");
    void store.remove(ID("d"));
    same(await store.read(ID("d"), "data", 0, 10), null, "after removal");
    await store.write(ID("d"), "data", 0, bytes(10, 3));
    same(await store.read(ID("d"), "data", 0, 10), bytes(10, 3), "written again");
    await store.close();
  },

  "keeps more contents apart than files may be open": async ({ open }) => {
    const store = await open();
    const ids = Array.from({ length: 40 }, (_, at) => `${"abcdefghijklmnopqrstuvwxyz234567"[at % 32]}${"abcd"[at >> 5]}`.padEnd(52, "a"));
    await Promise.all(ids.map((id, at) => store.write(id, "data", 0, bytes(1000, at))));
    const read = await Promise.all(ids.map((id) => store.read(id, "data", 0, 1000)));
    read.forEach((found, at) => same(found, bytes(1000, at), `content ${at}`));
    await store.close();
  },

  "serves a published file, whatever of it is copied": async ({ open }) => {
    const store = await open();
    const data = bytes(5000);
    const staged = await store.stage(new Blob([data]));
    await staged.append("data", data.subarray(0, 3000));
    await staged.append("records", bytes(32, 7));
    await staged.append("data", data.subarray(3000));
    await staged.append("records", bytes(32, 8));
    const outlives = await staged.commit(ID("e"), bytes(9));
    equal(outlives, store.kind === "opfs", "whether it outlives the file");
    same(await store.read(ID("e"), "data", 2500, 1000), data.subarray(2500, 3500), "data");
    same(await store.read(ID("e"), "records", 16, 32), [...bytes(32, 7).subarray(16), ...bytes(32, 8).subarray(0, 16)], "records");
    same(await store.read(ID("e"), "data", 4999, 2), null, "behind the end");
    await store.close();
  },

  "forgets a publish that is discarded": async ({ open, reopen }) => {
    const store = await open();
    const staged = await store.stage(new Blob([bytes(100)]));
    await staged.append("data", bytes(100));
    await staged.discard();
    const again = await reopen(store);
    if (again) {
      equal((await again.load()).length, 0, "contents");
      await again.close();
    }
  },

  "has after a reopening what a state was written for, the oldest first": async ({ open, reopen }) => {
    const store = await open();
    await store.write(ID("f"), "data", 0, bytes(100, 1));
    await store.writeState(ID("f"), bytes(10, 1));
    await store.writeState(ID("f"), bytes(20, 2));
    await store.write(ID("g"), "data", 0, bytes(100, 2));
    await store.write(ID("h"), "data", 0, bytes(100, 3));
    await new Promise((resolve) => setTimeout(resolve, 20));
    await store.writeState(ID("h"), bytes(30, 3));
    const again = await reopen(store);
    if (!again) return;
    const contents = await again.load();
    equal(contents.map(({ content }) => content[0]).join(), "f,h", "contents");
    same(contents[0].state, bytes(20, 2), "the last state");
    same(await again.read(ID("f"), "data", 0, 100), bytes(100, 1), "its data");
    same(await again.read(ID("g"), "data", 0, 100), null, "data without a state");
    await again.close();
  },

  "a removed content stays away": async ({ open, reopen }) => {
    const store = await open();
    await store.write(ID("i"), "data", 0, bytes(100));
    await store.writeState(ID("i"), bytes(10));
    await store.remove(ID("i"));
    const again = await reopen(store);
    if (!again) return;
    equal((await again.load()).length, 0, "contents");
    await again.close();
  },
};
