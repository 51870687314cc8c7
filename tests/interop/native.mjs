// The native stack as a child process, speaking JSON lines.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** Starts `program`; `onSignal(id, blob)` gets its signals. */
export function startNative(program, args, onSignal) {
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
  const seen = [];
  const waiting = [];
  createInterface({ input: child.stdout }).on("line", (line) => {
    const event = JSON.parse(line);
    if (event.event === "signal") return onSignal(event.connection, event.signal);
    const at = waiting.findIndex(({ matches }) => matches(event));
    if (at >= 0) waiting.splice(at, 1)[0].resolve(event);
    else seen.push(event);
  });

  /** The first event of this kind for this connection, past or to come. */
  function event(kind, connection, ms = 60_000) {
    const matches = (it) => it.event === kind && (connection === undefined || it.connection === connection);
    const at = seen.findIndex(matches);
    if (at >= 0) return Promise.resolve(seen.splice(at, 1)[0]);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no ${kind} for ${connection} in ${ms} ms`)), ms);
      waiting.push({ matches, resolve: (it) => (clearTimeout(timer), resolve(it)) });
    });
  }

  // A page's last candidates may come after the program was ended: there is nobody left to tell, and nothing is wrong.
  child.stdin.on("error", () => {});
  const tell = (command) => child.stdin.write(`${JSON.stringify(command)}\n`);
  const exited = new Promise((resolve) => child.once("exit", resolve));
  const stop = () => (child.stdin.end(), exited);
  return { child, event, tell, stop };
}
