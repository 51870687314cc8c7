import { describe, expect, test } from "vitest";
import { MemoryStore } from "../../../js/src/store/memory.js";
import { decodeState, encodeState } from "../../../js/src/store/opfs-folder.js";
import { contract } from "../store-contract.mjs";

describe("the store in memory", () => {
  const open = async () => new MemoryStore(null);
  const reopen = async (store: MemoryStore) => {
    await store.close();
    return null;
  };
  for (const [name, run] of Object.entries(contract)) test(name, () => run({ open, reopen }));
});

describe("a state file", () => {
  const content = "q".repeat(51) + "a";
  const state = Uint8Array.from([1, 2, 3, 4, 5]);

  test("round-trips", () => {
    expect(decodeState(encodeState(7, content, state))).toEqual({ sequence: 7, content, state });
    expect(decodeState(encodeState(1, content, new Uint8Array(0)))?.state.byteLength).toBe(0);
  });

  test("is refused when any byte is wrong or missing", () => {
    const whole = encodeState(7, content, state);
    for (let at = 0; at < whole.length; at++) {
      const torn = whole.slice();
      torn[at]! ^= 1;
      expect(decodeState(torn), `byte ${at}`).toBeNull();
      expect(decodeState(whole.slice(0, at)), `cut at ${at}`).toBeNull();
    }
    expect(decodeState(Uint8Array.of(...whole, 0))).toBeNull();
  });
});
