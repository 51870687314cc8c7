// One liar among three workers at the real relay: two tabs and a native worker, of which one tab lies; pages and native callers ask.
import { execFile, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Stage } from "../../tests/browser/harness.mjs";
import { PEEREDGE } from "../../tests/browser/relay.mjs";
import { task } from "../../tests/attacks/task-bytes.mjs";
import { LIES } from "../../tests/attacks/task-lies.mjs";

const COMPUTE = { allowed: true, anybody: true, slots: 1, dutyPermille: 1000, whileHidden: true, onLowBattery: true };

/** `value` of the input, as the task below computes it. */
const expected = (value) => (Math.imul(value, 0x01000193) + 1) >>> 0;
const MODULE = () => task("(i32.store (i32.const 1024) (i32.add (i32.mul (i32.load (i32.const 2048)) (i32.const 0x01000193)) (i32.const 1))) (i32.const 10000)");

/** Three workers, a tab and a native one that are honest and a tab that lies, anew `rounds` times for each way to lie; a page and a native caller. */
export async function atTheRelay(rounds, calls) {
  const stage = await Stage.open();
  const folder = mkdtempSync(join(tmpdir(), "peeredge-liars-"));
  const worker = spawn(PEEREDGE, ["work", "--relay", stage.relay.url, "--slots", "1", "--log-level", "error"], { stdio: "ignore" });
  const found = { asked: 0, forged: 0, lied: 0 };
  const errors = {};
  try {
    const caller = await stage.tab();
    await caller.create();
    const honest = await stage.tab();
    await honest.create({ compute: COMPUTE });
    const bytes = MODULE();
    writeFileSync(join(folder, "task.wasm"), Buffer.from(bytes));
    let value = 1;
    for (const [way, lie] of Object.entries(LIES)) {
      const of = { asked: 0, forged: 0, lied: 0 };
      const began = performance.now();
      for (let round = 0; round < rounds; round++) {
        const liar = await stage.tab();
        await liar.run(lie);
        await liar.create({ worker: false, compute: COMPUTE });
        const values = Array.from({ length: calls }, () => value++);
        const asked = caller.run(
          ([bytes, values]) =>
            Promise.all(
              values.map((value) =>
                harness
                  .peer()
                  .run(Uint8Array.from(bytes), new Uint8Array(Uint32Array.of(value).buffer), { replicas: 2 })
                  .then(({ output }) => new DataView(output.buffer, output.byteOffset).getUint32(0, true), ({ code }) => code),
              ),
            ),
          [bytes, values],
        );
        const native = nativeCall(stage.relay.url, folder, value++);
        const answers = [...(await asked).map((answer, n) => [values[n], answer]), await native];
        for (const [value, answer] of answers) {
          of.asked++;
          if (typeof answer === "string") errors[answer] = (errors[answer] ?? 0) + 1;
          else if (answer !== expected(value)) of.forged++;
        }
        of.lied += (await liar.run(async () => (await harness.peer().computed()).tasks)) > 0 ? 1 : 0;
        await liar.context.close();
      }
      const seconds = ((performance.now() - began) / 1000).toFixed(0);
      console.log(`${`real relay: ${way}`.padEnd(58)} ${of.asked} results asked for, ${of.forged} forged; the liar had runs in ${of.lied} of ${rounds} rounds; ${seconds} s`);
      for (const name of ["asked", "forged", "lied"]) found[name] += of[name];
    }
    if (Object.keys(errors).length > 0) console.log(`real relay: without a result ${JSON.stringify(errors)}`);
    // Two votes with nobody else there: who was exposed would give none.
    const both = await caller.run((bytes) => harness.peer().run(Uint8Array.from(bytes), new Uint8Array(4), { replicas: 2 }).then(({ workers }) => workers.length, () => 0), bytes);
    return { relay_results: found.asked, relay_forged_results: found.forged, relay_liars_with_runs: found.lied, relay_honest_exposed: 2 - both };
  } finally {
    worker.kill("SIGKILL");
    await stage.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function nativeCall(url, folder, value) {
  const [input, output] = [join(folder, "input"), join(folder, "output")];
  writeFileSync(input, new Uint8Array(Uint32Array.of(value).buffer));
  try {
    await promisify(execFile)(PEEREDGE, ["run", join(folder, "task.wasm"), "--input", input, "--output", output, "--relay", url, "--replicas", "2", "--quiet"], { timeout: 60_000 });
    return [value, readFileSync(output).readUInt32LE(0)];
  } catch (error) {
    return [value, `native exit ${error.code}`];
  }
}
