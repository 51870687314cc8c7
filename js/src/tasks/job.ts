/** How a run ended; the numbers are those of docs/task-abi.md. From `Memory` on they are the host's, and never signed. */
export const End = { Done: 0, OutOfGas: 1, Trap: 2, Stack: 3, Output: 4, Memory: 5, Cancelled: 6, Paused: 7 } as const;
export type End = (typeof End)[keyof typeof End];

/** What a run may use. */
export interface TaskLimits {
  /** Gas over all steps. */
  gas: bigint;
  /** Pages of 64 KiB that the memory may grow to; already part of the rewritten module. */
  memoryPages: number;
  /** Bytes that the output may have. */
  outputBytes: number;
}

/** One run of a task. */
export interface Job {
  /** The module as the rewriter gave it. */
  rewritten: Uint8Array;
  /** Whether it can move, as the rewriter says. */
  isMovable: boolean;
  /** Where it begins: with an input, or where another run was. */
  input?: Uint8Array;
  checkpoint?: Uint8Array;
  limits: TaskLimits;
  /** How long it may take, in ms, compiling included; then its worker is ended. */
  deadlineMs: number;
  /** After how many steps a checkpoint is taken; 0 or nothing for never. */
  checkpointEverySteps?: number;
  /** Memory that the run may take here, in bytes: a checkpoint is left out where it would take more. Default: no bound. */
  hostBytesMax?: number;
  /** The share of time that it may compute, in thousandths, kept by resting between steps. Default 1,000. */
  dutyPermille?: number;
}

/** What is told after a step, at most ten times a second, and with every checkpoint. */
export interface Progress {
  /** Ten-thousandths done, as the task says. */
  permyriad: number;
  steps: number;
  /** Gas used so far. */
  gas: bigint;
  checkpoint?: Uint8Array;
}

/** What a run came to. */
export interface Ran {
  end: End;
  /** Empty unless it is done. */
  output: Uint8Array;
  gas: bigint;
  /** Where to go on, when it was paused. */
  checkpoint?: Uint8Array;
}

/** After `checkpointTaken` the next checkpoint is taken when `restMs` have passed; before it, none. */
export type ToWorker = { type: "job"; job: Job } | { type: "pause" } | { type: "checkpointTaken"; restMs: number };
export type FromWorker = { type: "progress"; progress: Progress } | { type: "ran"; ran: Ran };
