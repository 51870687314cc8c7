import type { EnginePort, FromEngine, ToEngine } from "./engine/messages.js";

/**
 * An engine in a dedicated worker of its own. Rejects when the worker cannot be made, or data channels cannot be handed to it:
 * then the engine has to run in the page.
 */
export function openRemote(receive: (message: FromEngine) => void): Promise<EnginePort> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module", name: "peeredge" });
    const fail = (reason: string) => {
      worker.terminate();
      reject(new Error(reason));
    };
    worker.onerror = (event) => {
      event.preventDefault();
      fail(event.message || "the worker cannot be loaded");
    };
    worker.onmessage = (event: MessageEvent<FromEngine>) => {
      const hello = event.data;
      if (hello.type === "fatal") return fail(hello.message);
      if (hello.type !== "hello" || !hello.channels) return fail("the worker takes no data channels");
      worker.onmessage = (event: MessageEvent<FromEngine>) => receive(event.data);
      worker.onerror = (event) => receive({ type: "fatal", message: event.message || "the worker failed" });
      resolve({
        kind: "worker",
        send: (message: ToEngine, transfer: Transferable[] = []) => worker.postMessage(message, transfer),
        terminate: () => worker.terminate(),
      });
    };
  });
}
