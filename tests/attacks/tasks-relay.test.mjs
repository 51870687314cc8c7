// Liars and bombs at the real relay, with tabs and native workers.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { afterEach, expect, test } from "vitest";
import { Stage } from "../browser/harness.mjs";
import { eventually } from "../browser/flows/flow.mjs";
import { PEEREDGE } from "../browser/relay.mjs";
import { attacked } from "./attack.mjs";
import { bomb, filling, task } from "./task-bytes.mjs";
import { ANSWERS_AT_ONCE, LIES } from "./task-lies.mjs";

let stage;
let worker;
afterEach(async () => {
  worker?.kill("SIGKILL");
  worker = undefined;
  await stage?.close();
});

const COMPUTE = { allowed: true, slots: 1, dutyPermille: 1000, whileHidden: true, onLowBattery: true };

test("a tab that signs wrong outputs, beside an honest one and a native worker, is exposed, and no result is wrong", async () => {
  stage = await Stage.open();
  const caller = await stage.tab();
  await caller.create();
  const liar = await stage.tab();
  await liar.run(LIES["a wrong output, committed to and signed"]);
  await liar.create({ worker: false, compute: COMPUTE });
  const honest = await stage.tab();
  await honest.create({ compute: COMPUTE });
  worker = spawn(PEEREDGE, ["work", "--relay", stage.relay.url, "--slots", "1", "--log-level", "error"], { stdio: "ignore" });
  const bytes = task("(i32.store (i32.const 1024) (i32.mul (i32.load (i32.const 2048)) (i32.const 0x01000193))) (i32.const 10000)");
  const values = [];
  const wrong = [];
  const exposed = () => stage.relay.metric("peeredge_task_workers_exposed_total");
  // Until the liar has had its turn, whoever is drawn.
  for (let round = 0; round < 20 && !((await exposed()) > 0); round++) {
    const asked = [1, 2, 3, 4].map((n) => 4 * round + n);
    const answers = await caller.run(
      ([bytes, asked]) =>
        Promise.all(
          asked.map((value) =>
            harness
              .peer()
              .run(Uint8Array.from(bytes), new Uint8Array(Uint32Array.of(value).buffer), { replicas: 2 })
              .then(({ output }) => new DataView(output.buffer, output.byteOffset).getInt32(0, true)),
          ),
        ),
      [bytes, asked],
    );
    values.push(...asked);
    wrong.push(...answers.filter((answer, n) => answer !== Math.imul(asked[n], 0x01000193)));
  }
  const found = await exposed();
  // Two votes with nobody else there: neither honest worker was taken for a liar.
  await liar.close();
  const voters = await caller.run(([bytes]) => harness.peer().run(Uint8Array.from(bytes), new Uint8Array(4), { replicas: 2 }).then(({ workers }) => workers.length), [bytes]);
  attacked({
    room: "tasks",
    kind: "majority",
    name: "wrong outputs, committed to and signed, by one of two tabs beside a native worker",
    spent: "1 key",
    lost: `${wrong.length} of ${values.length} results wrong, ${found} exposed`,
    held: wrong.length === 0 && found === 1 && voters === 2,
  });
});

test("modules that fill 4 GiB or take long to compile take nothing of a relay at which nobody works", async () => {
  stage = await Stage.open();
  const caller = await stage.tab();
  await caller.create();
  const resident = (name) => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(readFileSync(`/proc/${stage.relay.process.pid}/status`, "utf8"))[1]) / 1024;
  const before = resident("VmRSS");
  const modules = [filling(), bomb(100, 49), bomb(1000, 4)];
  const ends = await caller.run(
    async (modules) => {
      const ends = [];
      for (const bytes of modules) {
        const signal = AbortSignal.timeout(3_000);
        // 16 at once of each, with all that WebAssembly can address and with what a relay's referee would take.
        const runs = Array.from({ length: 16 }, (_, n) => harness.peer().run(Uint8Array.from(bytes), Uint8Array.of(n), { memoryBytes: n % 2 ? 2 ** 32 : 2 ** 26, replicas: 1, signal }));
        ends.push(...(await Promise.allSettled(runs)).map(({ value, reason }) => (value ? "a result" : (reason.code ?? reason.name))));
      }
      return ends;
    },
    modules,
  );
  const peak = resident("VmHWM");
  const used = await eventually(async () => fetch(`${stage.relay.url}/readyz`).then(({ ok }) => ok, () => false), "the relay answers");
  expect(new Set(ends)).not.toContain("internal");
  attacked({
    room: "tasks",
    kind: "tasks",
    name: "modules that fill 4 GiB or take long to compile, and nobody works",
    spent: `${ends.length} tasks`,
    lost: `${(peak - before).toFixed(0)} MiB of the relay (${[...new Set(ends)].join(", ")})`,
    held: used && peak - before < 256,
  });
});

test("what two liars have the referee settle takes of the relay what its operator set, and no more", async () => {
  const limitMib = 128;
  stage = await Stage.open({ relay: { settings: { task_memory_bytes_max: limitMib << 20, task_timeout_ms: 4_000 } } });
  const caller = await stage.tab();
  await caller.create();
  const resident = (name) => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(readFileSync(`/proc/${stage.relay.process.pid}/status`, "utf8"))[1]) / 1024;
  const before = resident("VmRSS");
  const asked = () => stage.relay.metric("peeredge_tasks_refereed_total");
  const endless = task("(loop $l (br $l)) (i32.const 10000)");
  // The last one shows that the referee is there again after those that it could not settle.
  const cases = [
    ["fills 4 GiB", filling(), 2 ** 32, "nobody can say"],
    ["has no end", endless, 2 ** 26, "nobody can say"],
    ["fills what the operator allows", filling(), limitMib << 20, "settled"],
  ];
  const ends = [];
  for (const [, bytes, memoryBytes, expected] of cases) {
    const liars = [];
    for (const value of [1, 2]) {
      const liar = await stage.tab();
      await liar.run(ANSWERS_AT_ONCE, value);
      await liar.create({ worker: false, compute: { ...COMPUTE, memoryBytes: 2 ** 32 } });
      liars.push(liar);
    }
    const refereed = await asked();
    await caller.run(
      ([bytes, memoryBytes]) => {
        window.end = new AbortController();
        const options = { memoryBytes, gas: 1n << 60n, replicas: 2, signal: window.end.signal };
        window.ran = harness.peer().run(Uint8Array.from(bytes), new Uint8Array(1), options).then(({ refereed }) => (refereed ? "settled" : "a lie"), ({ code }) => code);
      },
      [bytes, memoryBytes],
    );
    if (expected === "settled") ends.push(await caller.run(() => window.ran));
    else {
      await eventually(async () => (await asked()) > refereed, "the referee is asked");
      // It is at it, or has said that it cannot: it has the time that the operator gave it, and twice that for a busy machine.
      await new Promise((resolve) => setTimeout(resolve, 8_000));
      ends.push(await caller.run(() => {
        window.end.abort();
        return window.ran;
      }));
    }
    for (const liar of liars) await liar.context.close();
  }
  const peak = resident("VmHWM");
  attacked({
    room: "tasks",
    kind: "tasks",
    name: "two liars have the referee settle what fills 4 GiB, has no end, or takes all that its operator allows",
    spent: `6 keys, ${cases.length} tasks`,
    lost: `${(peak - before).toFixed(0)} MiB of the relay, which allows ${limitMib} (${ends.join(", ")})`,
    // Compiling and the debug build's own besides.
    held: ends.join() === "aborted,aborted,settled" && peak - before < 1.25 * limitMib + 64,
  });
});
