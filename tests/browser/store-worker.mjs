// A dedicated worker that runs the stores' contract on the packed package's stores: only such a worker has file handles.
import { MemoryStore } from "/peeredge/dist/store/memory.js";
import { OpfsStore } from "/peeredge/dist/store/opfs.js";
import { contract } from "/store-contract.mjs";

const KINDS = {
  memory: {
    open: async () => new MemoryStore(null),
    reopen: async (store) => {
      await store.close();
      return null;
    },
  },
  opfs: {
    open: () => OpfsStore.open(null, null),
    reopen: async (store) => {
      const slot = store.slot;
      await store.close();
      return OpfsStore.open(null, slot);
    },
  },
};

/** Without what an earlier case left: no slot is taken while none runs. */
async function wipe() {
  const root = await navigator.storage.getDirectory();
  await root.removeEntry("peeredge", { recursive: true }).catch(() => undefined);
}

self.onmessage = async ({ data: { kind, name } }) => {
  try {
    await wipe();
    await contract[name](KINDS[kind]);
    self.postMessage(null);
  } catch (error) {
    self.postMessage(`${error.name}: ${error.message}`);
  }
};
