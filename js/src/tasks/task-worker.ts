import type { FromWorker, ToWorker } from "./job.js";
import { run } from "./run.js";

/** The entry of a task's worker. It has no network: the task has no imports, and nothing else runs here. */
interface WorkerScope {
  postMessage(message: FromWorker, transfer: Transferable[]): void;
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
}

/** How long steps may follow each other before messages are looked at. */
const DEAF_MS_MAX = 50;

const scope = globalThis as unknown as WorkerScope;
let isPaused = false;

scope.onmessage = async ({ data }) => {
  if (data.type === "pause") {
    isPaused = true;
    return;
  }
  const { job } = data;
  const duty = Math.max(1, Math.min(1_000, job.dutyPermille ?? 1_000));
  let deafMs = 0;
  const ran = await run(job, {
    onProgress: (progress) => scope.postMessage({ type: "progress", progress }, progress.checkpoint ? [progress.checkpoint.buffer] : []),
    between: (stepMs) => {
      const restMs = (stepMs * (1_000 - duty)) / duty;
      deafMs += stepMs;
      if (restMs < 1 && deafMs < DEAF_MS_MAX) return isPaused;
      deafMs = 0;
      return new Promise((resolve) => setTimeout(() => resolve(isPaused), restMs));
    },
  });
  scope.postMessage({ type: "ran", ran }, [ran.output.buffer, ...(ran.checkpoint ? [ran.checkpoint.buffer] : [])]);
};
