/** Bytes of a page of WebAssembly's memory. */
export const PAGE_BYTES = 65_536;

const HEAD = [0x50, 0x45, 0x48, 0x43, 1];
const GLOBALS_MAX = 4_096;

/** All that a task is between two steps. Its bytes are those of docs/task-abi.md. */
export interface State {
  steps: number;
  gas: bigint;
  globals: bigint[];
  /** A view: encode it before the task goes on. */
  memory: Uint8Array;
}

export function encode(state: State): Uint8Array {
  const pages = state.memory.length / PAGE_BYTES;
  const used = Array.from({ length: pages }, (_, page) => isUsed(state.memory, page));
  const length = 25 + state.globals.length * 8 + pages + used.filter(Boolean).length * PAGE_BYTES;
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  bytes.set(HEAD);
  view.setUint32(5, state.steps, true);
  view.setBigUint64(9, state.gas, true);
  view.setUint32(17, state.globals.length, true);
  let at = 21;
  for (const global of state.globals) {
    view.setBigUint64(at, global, true);
    at += 8;
  }
  view.setUint32(at, pages, true);
  at += 4;
  used.forEach((isUsed, page) => {
    bytes[at++] = isUsed ? 1 : 0;
    if (!isUsed) return;
    bytes.set(state.memory.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES), at);
    at += PAGE_BYTES;
  });
  return bytes;
}

/** The state that these bytes are, or null when they are not canonical or have more than `pagesMax` pages. */
export function decode(bytes: Uint8Array, pagesMax: number): State | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 25 || HEAD.some((byte, index) => bytes[index] !== byte)) return null;
  const count = view.getUint32(17, true);
  if (count > GLOBALS_MAX || bytes.length < 25 + count * 8) return null;
  const globals = Array.from({ length: count }, (_, index) => view.getBigUint64(21 + index * 8, true));
  let at = 25 + count * 8;
  const pages = view.getUint32(at - 4, true);
  if (pages > pagesMax || pages > bytes.length - at) return null;
  const memory = new Uint8Array(pages * PAGE_BYTES);
  for (let page = 0; page < pages; page++) {
    const mark = bytes[at++];
    if (mark === 0) continue;
    if (mark !== 1 || bytes.length - at < PAGE_BYTES) return null;
    memory.set(bytes.subarray(at, at + PAGE_BYTES), page * PAGE_BYTES);
    at += PAGE_BYTES;
    if (!isUsed(memory, page)) return null;
  }
  if (at !== bytes.length) return null;
  return { steps: view.getUint32(5, true), gas: view.getBigUint64(9, true), globals, memory };
}

function isUsed(memory: Uint8Array, page: number): boolean {
  const words = new BigUint64Array(memory.buffer, memory.byteOffset + page * PAGE_BYTES, PAGE_BYTES / 8);
  return words.some((word) => word !== 0n);
}
