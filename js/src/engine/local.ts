import type { EnginePort, FromEngine, ToEngine } from "./messages.js";

/** An engine on the page's own thread: where there is no worker, or none that takes data channels. */
export async function openLocal(receive: (message: FromEngine) => void): Promise<EnginePort> {
  const { startHost } = await import("./load.js");
  // As behind a port, an answer never arrives within the call that asked.
  let open = true;
  const host = await startHost((message) => queueMicrotask(() => open && receive(message)), false);
  return {
    kind: "page",
    send: (message: ToEngine) => host.receive(message),
    terminate: () => {
      open = false;
      host.terminate();
    },
  };
}
