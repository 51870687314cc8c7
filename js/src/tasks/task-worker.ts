import type { FromWorker, Job, ToWorker } from "./job.js";
import { run } from "./run.js";

/** The entry of a task's worker. It has no network: the task has no imports, and nothing else runs here. */
interface WorkerScope {
  postMessage(message: FromWorker, transfer: Transferable[]): void;
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
}

/** How long steps may follow each other before messages are looked at. */
const DEAF_MS_MAX = 50;
/** At least so long between two words of progress: the page has other things to do. */
const PROGRESS_MS = 100;
const DONE_PERMYRIAD = 10_000;

const scope = globalThis as unknown as WorkerScope;
let isPaused = false;
/** When the next checkpoint may be taken; never while the page is at the last one. */
let checkpointFrom = 0;

scope.onmessage = ({ data }) => {
  if (data.type === "pause") isPaused = true;
  else if (data.type === "checkpointTaken") checkpointFrom = performance.now() + data.restMs;
  else {
    work(data.job).catch((error: unknown) => {
      // An error of the worker, of which the page is told; a rejection would be silent.
      setTimeout(() => {
        throw error;
      });
    });
  }
};

async function work(job: Job): Promise<void> {
  const duty = Math.max(1, Math.min(1_000, job.dutyPermille ?? 1_000));
  const began = performance.now();
  let [deafMs, restedMs] = [0, 0];
  const rest = (ms: number) => {
    const from = performance.now();
    return new Promise<void>((resolve) => {
      setTimeout(() => {
        restedMs += performance.now() - from;
        resolve();
      }, ms);
    });
  };
  let toldAt = -Infinity;
  const ran = await run(job, {
    wantsCheckpoint: () => performance.now() >= checkpointFrom,
    onProgress: (progress) => {
      const now = performance.now();
      if (progress.checkpoint) checkpointFrom = Infinity;
      else if (now - toldAt < PROGRESS_MS && progress.permyriad < DONE_PERMYRIAD) return;
      toldAt = now;
      scope.postMessage({ type: "progress", progress }, progress.checkpoint ? [progress.checkpoint.buffer] : []);
    },
    between: (stepMs) => {
      const restMs = (stepMs * (1_000 - duty)) / duty;
      deafMs += stepMs;
      if (restMs < 1 && deafMs < DEAF_MS_MAX) return isPaused;
      deafMs = 0;
      return rest(restMs).then(() => isPaused);
    },
  });
  // Whatever took its time besides steps, or one step that did everything, counts in the share as well.
  const owedMs = ((performance.now() - began - restedMs) * (1_000 - duty)) / duty - restedMs;
  if (owedMs >= 1) await rest(owedMs);
  scope.postMessage({ type: "ran", ran }, [ran.output.buffer, ...(ran.checkpoint ? [ran.checkpoint.buffer] : [])]);
}
