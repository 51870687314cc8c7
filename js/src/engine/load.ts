import init, * as slot from "../peeredge.js";
import { Host } from "./host.js";
import type { FromEngine } from "./messages.js";

/** Loads the wasm module and puts a host around it. `inWorker`: whether this is a dedicated worker, which has file handles. */
export async function startHost(post: (message: FromEngine, transfer?: Transferable[]) => void, inWorker: boolean): Promise<Host> {
  await init();
  return new Host(slot, post, inWorker);
}
