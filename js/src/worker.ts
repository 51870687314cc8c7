import { messageOf } from "./errors.js";
import { startHost } from "./engine/load.js";
import type { FromEngine, ToEngine } from "./engine/messages.js";

/** The dedicated worker's entry: a host, and the port to the page. */
interface WorkerScope {
  postMessage(message: FromEngine, transfer: Transferable[]): void;
  onmessage: ((event: MessageEvent<ToEngine>) => void) | null;
}

const scope = globalThis as unknown as WorkerScope;
const post = (message: FromEngine, transfer: Transferable[] = []) => scope.postMessage(message, transfer);

startHost(post, true).then(
  (host) => {
    scope.onmessage = (event) => host.receive(event.data);
    post({ type: "hello", channels: typeof RTCDataChannel === "function" });
  },
  (error: unknown) => post({ type: "fatal", message: messageOf(error) }),
);
