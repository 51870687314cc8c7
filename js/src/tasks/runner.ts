import { End, type FromWorker, type Job, type Progress, type Ran, type ToWorker } from "./job.js";

export interface RunOptions {
  /** Ends the run at once: {@link End.Cancelled}. */
  signal?: AbortSignal;
  /** Ends it after the step that it is at, with a checkpoint: {@link End.Paused}. A task that cannot move goes on. */
  pause?: AbortSignal;
  /** Told at most ten times a second. For a checkpoint it gives how long to rest, in ms, before the next one is taken. */
  onProgress?: (progress: Progress) => void | number | Promise<void | number>;
}

/**
 * Runs a job in a worker of its own, which is ended with it. Never rejects: a worker that cannot be started or dies is this host's
 * trouble, {@link End.Memory}.
 */
export function runTask(job: Job, { signal, pause, onProgress }: RunOptions = {}): Promise<Ran> {
  let gas = 0n;
  const without = (end: End): Ran => ({ end, output: new Uint8Array(), gas });
  if (signal?.aborted) return Promise.resolve(without(End.Cancelled));
  return new Promise((resolve) => {
    let worker: Worker;
    try {
      worker = new Worker(new URL("./task-worker.js", import.meta.url), { type: "module" });
    } catch {
      resolve(without(End.Memory));
      return;
    }
    const post = (message: ToWorker) => worker.postMessage(message);
    const cancel = () => end(without(End.Cancelled));
    const halt = () => post({ type: "pause" });
    const timer = setTimeout(cancel, Math.min(job.deadlineMs, 2 ** 31 - 1));
    const end = (ran: Ran) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", cancel);
      pause?.removeEventListener("abort", halt);
      worker.terminate();
      resolve(ran);
    };
    signal?.addEventListener("abort", cancel);
    pause?.addEventListener("abort", halt);
    worker.onerror = (event) => {
      event.preventDefault();
      end(without(End.Memory));
    };
    worker.onmessageerror = () => end(without(End.Memory));
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if (data.type === "ran") return end(data.ran);
      gas = data.progress.gas;
      const rest = onProgress?.(data.progress);
      if (!data.progress.checkpoint) return;
      const taken = (restMs: void | number) => post({ type: "checkpointTaken", restMs: restMs ?? 0 });
      Promise.resolve(rest).then(taken, () => taken());
    };
    // What it begins with moves; the module is kept for the next run.
    const moves = [job.input, job.checkpoint].flatMap((bytes) => (bytes && bytes.byteLength === bytes.buffer.byteLength ? [bytes.buffer] : []));
    try {
      worker.postMessage({ type: "job", job } satisfies ToWorker, moves);
    } catch {
      return end(without(End.Memory));
    }
    if (pause?.aborted) halt();
  });
}
