// A desk between a page and an engine that are made up: what is handed in, what is run, what is said when.
import { beforeEach, expect, test, vi } from "vitest";
import type { TaskCall } from "../../../js/src/engine/messages.js";
import { Speed } from "../../../js/src/tasks/speed.js";
import type { Compute } from "../../../js/src/types.js";

vi.mock("../../../js/src/tasks/rewriter.js", () => {
  class Refused extends Error {}
  return {
    Refused,
    instrument: async (bytes: Uint8Array) => {
      if (bytes[0] !== 1) throw new Refused("no header");
      return { bytes, isMovable: true };
    },
    rest: () => {},
    hash: async () => new Uint8Array(32).fill(7),
    // What was signed of an output is made up to be its first byte.
    answer: async (_: number, output: Uint8Array) => Uint8Array.of(output[0] ?? 0),
  };
});
vi.mock("../../../js/src/tasks/runner.js", () => ({
  runTask: async (job: { input: Uint8Array }) => ({ end: job.input[0], output: Uint8Array.of(9), gas: 5n }),
}));
const { Desk } = await import("../../../js/src/tasks/desk.js");

const COMPUTE: Compute = { allowed: true, slots: 2, dutyPermille: 500, memoryBytes: 1 << 20, whileHidden: false, onLowBattery: false };

let calls: TaskCall[] = [];
const removed: string[] = [];
const fetched = async (content: string) => (content === "module" ? Uint8Array.of(1) : Uint8Array.of(4, 2));
const host = {
  send: (call: TaskCall) => void calls.push(call),
  fetch: fetched,
  take: fetched,
  publish: async (_: Uint8Array, name: string) => `shared ${name}`,
  remove: (content: string) => void removed.push(content),
};
beforeEach(() => {
  calls = [];
});

const lease = (input: Uint8Array, module = "module") => ["lease", 3, 5000, module, input, 100n, 16, 100, 0, undefined, 0n] as const;
const said = async (call: TaskCall["call"]) => {
  await vi.waitFor(() => expect(calls.some((made) => made.call === call)).toBe(true));
  return calls.find((made) => made.call === call);
};

test("a task is checked, shared, handed in, and resolves with its result", async () => {
  const desk = new Desk(host, { ...COMPUTE, allowed: false }, false);
  const seen: unknown[] = [];
  const result = desk.run(Uint8Array.of(1), Uint8Array.of(5), { replicas: 3, onProgress: (progress) => seen.push(progress) });
  expect(await said("submit")).toMatchObject({ request: 1, module: "shared task.wasm", assurance: 3, memoryPages: 1024 });
  desk.receive(["taskProgress", 1, 1, "somebody"]);
  const gas = 2n ** 53n + 1n;
  desk.receive(["result", 1, 0, gas, 3, false, ["a", "b", "c"], Uint8Array.of(8), Uint8Array.of(8), 8_000, []]);
  expect(await result).toEqual({ output: Uint8Array.of(8), gas, runs: 3, refereed: false, doubt: 0.008, workers: ["a", "b", "c"] });
  expect(seen).toEqual([{ runs: 1, worker: "somebody" }]);
  // A visitor who did not agree to compute was never offered.
  expect(calls.map(({ call }) => call)).toEqual(["submit"]);
});

test("every way to have no result is an error with a code", async () => {
  const desk = new Desk(host, { ...COMPUTE, allowed: false }, false);
  const run = () => desk.run("module", new Uint8Array(), {}).then(() => "no error", (error) => error.code);
  expect(await desk.run(Uint8Array.of(2), new Uint8Array(), {}).catch((error) => error.code)).toBe("task_refused");
  expect(await desk.run(new Uint8Array(50_000_000), new Uint8Array(), {}).catch((error) => error.code)).toBe("task_refused");
  expect(await desk.run("module", new Uint8Array(), { replicas: 0 }).catch((error) => error.code)).toBe("invalid_option");
  const refused = run();
  await said("submit");
  desk.receive(["refused", 1, "no_worker"]);
  expect(await refused).toBe("no_worker");
  const trapped = run();
  await vi.waitFor(() => expect(calls).toHaveLength(2));
  desk.receive(["result", 2, 2, 9n, 2, false, ["a"], new Uint8Array(), Uint8Array.of(0), 40_000, []]);
  expect(await trapped).toBe("task_failed");
});

test("limits that cannot hold are told before anything is done", async () => {
  const desk = new Desk(host, { ...COMPUTE, allowed: false }, false);
  const code = (input: number, options: object) => desk.run("module", new Uint8Array(input), options).catch((error) => error.code);
  expect(await code(65_537, { memoryBytes: 65_536 })).toBe("invalid_option");
  for (const wrong of [{ gas: 0 }, { gas: 0n }, { gas: 2n ** 62n + 1n }, { gas: 2 ** 60 }, { gas: 1.5 }, { outputBytes: 2 ** 31 }, { memoryBytes: 2 ** 33 }, { value: -1 }, { checkpointSteps: NaN }]) {
    expect(await code(0, wrong), JSON.stringify(wrong, (_, value) => String(value))).toBe("invalid_option");
  }
  expect(calls).toEqual([]);
});

test("an output that its workers did not sign for is not given out, in the frame or as a content", async () => {
  const desk = new Desk(host, { ...COMPUTE, allowed: false }, false);
  const run = () => desk.run("module", new Uint8Array(), {}).then(() => "no error", (error) => error.code);
  const inline = run();
  await said("submit");
  desk.receive(["result", 1, 0, 7n, 2, false, ["a"], Uint8Array.of(8), Uint8Array.of(9), 40_000, []]);
  expect(await inline).toBe("task_disputed");
  const content = run();
  await vi.waitFor(() => expect(calls).toHaveLength(2));
  desk.receive(["result", 2, 0, 7n, 2, false, ["a"], "output", Uint8Array.of(9), 40_000, ["another"]]);
  // Both voters' were tried: the relay is asked to run it itself, once.
  await vi.waitFor(() => expect(calls.at(-1)).toEqual({ call: "untrue", request: 2 }));
  desk.receive(["result", 2, 0, 7n, 3, true, [], "output", Uint8Array.of(9), 0, []]);
  expect(await content).toBe("task_disputed");
});

test("an output that nobody has keeps no caller from another voter's", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  try {
    const taken: string[] = [];
    const silent = {
      ...host,
      take: (content: string, _: number, signal: AbortSignal) => {
        taken.push(content);
        if (content === "another") return Promise.resolve(Uint8Array.of(9));
        return new Promise<Uint8Array>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      },
    };
    const desk = new Desk(silent, { ...COMPUTE, allowed: false }, false);
    const run = desk.run("module", new Uint8Array(), {});
    await vi.waitFor(() => expect(calls.at(-1)).toMatchObject({ call: "submit" }));
    desk.receive(["result", 1, 0, 7n, 2, false, ["a"], "nobody has it", Uint8Array.of(9), 40_000, ["another"]]);
    await vi.advanceTimersByTimeAsync(2_900);
    expect(taken).toEqual(["nobody has it"]);
    await vi.advanceTimersByTimeAsync(200);
    expect((await run).output).toEqual(Uint8Array.of(9));
  } finally {
    vi.useRealTimers();
  }
});

test("an abort cancels at the relay, and rejects with an error whose cause is the signal's reason", async () => {
  const desk = new Desk(host, { ...COMPUTE, allowed: false }, false);
  const end = new AbortController();
  const result = desk.run("module", new Uint8Array(), { signal: end.signal });
  await said("submit");
  end.abort(new Error("enough"));
  await expect(result).rejects.toMatchObject({ name: "PeerEdgeError", code: "aborted", cause: new Error("enough") });
  expect(await said("cancel")).toEqual({ call: "cancel", request: 1 });
});

test("a lease is run and answered; a host's own trouble and a module that is no task are said as such", async () => {
  const desk = new Desk(host, COMPUTE, false);
  expect(calls).toEqual([{ call: "offer", slots: 2, memoryPages: 16 }]);
  desk.receive([...lease(Uint8Array.of(0))]);
  expect(await said("answer")).toMatchObject({ lease: 3, end: 0, gas: 5n, output: Uint8Array.of(9) });
  await vi.waitFor(() => expect(desk.computed).toMatchObject({ tasks: 1, gas: 5, running: 0 }));
  desk.receive([...lease(Uint8Array.of(5))]);
  expect(await said("trouble")).toMatchObject({ lease: 3 });
  calls = [];
  desk.receive([...lease(Uint8Array.of(0), "no task")]);
  expect(await said("trouble")).toMatchObject({ detail: "no header" });
});

test("a low battery and a withdrawn consent pause, and neither says more than it must", () => {
  const desk = new Desk(host, COMPUTE, false);
  desk.setLowBattery(true);
  desk.setLowBattery(true);
  desk.setLowBattery(false);
  desk.setCompute({ ...COMPUTE, allowed: false });
  expect(calls.map((call) => (call.call === "offer" ? call.slots : call))).toEqual([2, 0, 2, 0]);
});

test("falling speed is seen, and recovers", () => {
  const speed = new Speed();
  for (let i = 0; i < 10; i++) speed.observe(1e9, 1000);
  expect([speed.gasPerSecond, speed.backingOff]).toEqual([1e9, false]);
  for (let i = 0; i < 6; i++) speed.observe(1e9, 2000);
  expect(speed.backingOff).toBe(true);
  for (let i = 0; i < 8; i++) speed.observe(1e9, 1000);
  expect(speed.backingOff).toBe(false);
});

test("an input is fetched no further than any host takes, however much memory is offered", async () => {
  let most = 0;
  const counting = { ...host, take: async (content: string, bytesMax: number) => (content === "module" ? fetched(content) : ((most = bytesMax), Uint8Array.of(4, 2))) };
  const desk = new Desk(counting, { ...COMPUTE, memoryBytes: 2 ** 32 }, false);
  desk.receive(["lease", 4, 5000, "module", "input", 100n, 65_536, 100, 0, undefined, 0n]);
  await said("answer");
  expect(most).toBe(2 ** 30);
});

test("an abort between sharing an input and handing the task in hands nothing in", async () => {
  const end = new AbortController();
  // Aborted by whoever else waited for the same, before the desk has its turn.
  const sharing = { ...host, publish: (_: Uint8Array, name: string) => ({ then: (done: (content: string) => void) => (done(`shared ${name}`), end.abort(), Promise.resolve()) }) as unknown as Promise<string> };
  const desk = new Desk(sharing, { ...COMPUTE, allowed: false }, false);
  const code = await desk.run("module", new Uint8Array(20_000), { signal: end.signal }).catch((error) => error.code);
  expect([code, calls]).toEqual(["aborted", []]);
});
