// One liar among three workers: the real dispatcher on a virtual clock.
import { execFileSync } from "node:child_process";

/** One liar in three, by each way to lie, and silent workers: figures. */
export function onVirtualTime(program, count, seed) {
  const lines = execFileSync(program, [String(count), String(seed)], { encoding: "utf8" }).trim().split("\n").map((line) => JSON.parse(line));
  const ways = lines.filter(({ way }) => way);
  console.log(`\n${"virtual time".padEnd(44)} ${"tasks".padStart(7)} ${"believed".padStart(9)} ${"forged".padStart(7)} ${"honest exposed".padStart(15)} ${"runs".padStart(7)}`);
  for (const { way, assurance, tasks, believed, forged, honest_exposed, runs } of ways) {
    console.log(`${`${way}, ${assurance}`.padEnd(44)} ${String(tasks).padStart(7)} ${String(believed).padStart(9)} ${String(forged).padStart(7)} ${String(honest_exposed).padStart(15)} ${(runs / tasks).toFixed(2).padStart(7)}`);
  }
  const silent = lines.filter((line) => line.silent);
  for (const { silent: whose, replicas, done, cost_s } of silent) console.log(`64 silent keys of ${whose}, ${replicas} a task: ${done} of 20 tasks done, ${cost_s} s at most`);
  const sum = (name) => ways.reduce((sum, way) => sum + way[name], 0);
  const cost = (whose) => Math.max(...silent.filter(({ silent }) => silent === whose).map(({ cost_s }) => cost_s));
  return {
    forged_results: sum("forged"),
    forged_of: sum("believed"),
    honest_exposed: sum("honest_exposed"),
    unfinished: sum("tasks") - sum("believed"),
    silent_worker_cost_s: cost("one network"),
    silent_64_networks_cost_s: cost("a network each"),
  };
}
