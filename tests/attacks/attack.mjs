// What a test that plays a stranger writes down, as tests/attacks/src/lib.rs does for the crates: one line an attack, `attack ` and JSON,
// which `npm run bench -- attacks` collects.
import { appendFileSync } from "node:fs";

/** Whether time is measured (the benchmark), and not only what can be counted. */
export const MEASURES = process.env.ATTACKS_MEASURE !== undefined;

/**
 * Writes an attack down, and throws unless the promise held.
 *
 * `figures` may have `addresses_an_hour`, `byte_amplification`, `cpu_amplification`, `memory_bytes` (for one connection) and
 * `good_client_p99_ratio`; the benchmark reports the worst of each.
 */
export function attacked({ room, kind, name, spent, lost, held, figures = {} }) {
  const line = `attack ${JSON.stringify({ room, kind, name, spent, lost, held, figures })}`;
  console.log(line);
  // The test runner decorates what is printed.
  if (process.env.ATTACKS_FILE) appendFileSync(process.env.ATTACKS_FILE, `${line}\n`);
  if (!held) throw new Error(`${room}: ${name} (spent ${spent}, lost ${lost})`);
}
