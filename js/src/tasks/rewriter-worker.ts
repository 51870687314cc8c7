/** The entry of the rewriter's worker: one order after the other. */
interface Exports {
  memory: WebAssembly.Memory;
  room(length: number): number;
  left(): number;
  left_length(): number;
  rewrite_task(memoryPages: number): number;
  hash(): void;
  answer(end: number): number;
}

/** What is to be done with bytes. */
export type Order =
  | { order: "rewrite"; memoryPages: number }
  | { order: "hash" }
  | { order: "answer"; end: number };

export type ToRewriter = Order & { bytes: Uint8Array };

/** 0, or 1 for a module that can move; 2 for one that is refused, with the reason as bytes. */
export interface FromRewriter {
  verdict: number;
  bytes: Uint8Array;
}

interface Scope {
  postMessage(message: FromRewriter, transfer: Transferable[]): void;
  onmessage: ((event: MessageEvent<ToRewriter>) => void) | null;
}

const scope = globalThis as unknown as Scope;
let loaded: Promise<Exports> | undefined;

scope.onmessage = ({ data }) => {
  work(data).catch((error: unknown) => {
    // An error of the worker, of which the page is told; a rejection would be silent.
    setTimeout(() => {
      throw error;
    });
  });
};

async function work(data: ToRewriter): Promise<void> {
  loaded ??= load();
  const rewriter = await loaded;
  const address = rewriter.room(data.bytes.length);
  new Uint8Array(rewriter.memory.buffer, address, data.bytes.length).set(data.bytes);
  let verdict = 0;
  if (data.order === "rewrite") verdict = rewriter.rewrite_task(data.memoryPages);
  else if (data.order === "hash") rewriter.hash();
  else rewriter.answer(data.end);
  const bytes = new Uint8Array(rewriter.memory.buffer, rewriter.left(), rewriter.left_length()).slice();
  rewriter.room(0);
  scope.postMessage({ verdict, bytes }, [bytes.buffer]);
}

async function load(): Promise<Exports> {
  const response = await fetch(new URL("../peeredge_rewriter.wasm", import.meta.url));
  if (!response.ok) throw new TypeError(`the rewriter could not be fetched: ${response.status}`);
  const { instance } = await WebAssembly.instantiate(await response.arrayBuffer(), {});
  return instance.exports as unknown as Exports;
}
