// The `peeredge` program as a person at a shell runs it, and what the attacks on files and downloads share.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PEEREDGE } from "../browser/relay.mjs";

/** Runs it to its end. `stdin`, `stdout`: what the child gets instead of nothing and a pipe. `wrap`: words before the program's own. */
export function peeredge(words, { cwd = tmpdir(), stdout = "pipe", wrap = [], signalAfter = null, within = 60_000 } = {}) {
  const child = start(words, { cwd, stdout, wrap });
  const late = setTimeout(() => child.kill("SIGKILL"), within);
  if (signalAfter) setTimeout(() => child.kill(signalAfter.signal), signalAfter.ms);
  return child.ended.finally(() => clearTimeout(late));
}

/** Starts it; `ended` resolves with what it printed, its exit code and how long it took. */
export function start(words, { cwd = tmpdir(), stdout = "pipe", wrap = [] } = {}) {
  const began = performance.now();
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("PEEREDGE_")));
  const [program, ...rest] = [...wrap, PEEREDGE, ...words];
  const child = spawn(program, rest, { cwd, env, stdio: ["ignore", stdout, "pipe"] });
  const out = [];
  let stderr = "";
  child.stdout?.on("data", (bytes) => out.push(bytes));
  child.stderr.on("data", (bytes) => (stderr += bytes));
  child.ended = new Promise((resolve) => {
    child.on("close", (code, signal) =>
      resolve({ code: code ?? signal, stdout: Buffer.concat(out), stderr, ms: performance.now() - began }),
    );
  });
  return child;
}

/** A folder of one test. */
export function folder(name) {
  const path = mkdtempSync(join(tmpdir(), `peeredge-${name}-`));
  return { path, at: (...parts) => join(path, ...parts), remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** Bytes that no compressor makes smaller, the same for the same seed. */
export function noise(length, seed = 1) {
  const bytes = Buffer.alloc(length);
  let state = (seed * 2654435761) >>> 0 || 1;
  for (let at = 0; at + 4 <= length; at += 4) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes.writeUInt32LE(state >>> 0, at);
  }
  return bytes;
}

/** Publishes bytes under a name into a store; gives its link. */
export async function publish(dataDir, name, bytes) {
  const from = folder("publish");
  writeFileSync(from.at(name), bytes);
  const done = await peeredge(["publish", "--quiet", "--data-dir", dataDir, from.at(name)]);
  from.remove();
  if (done.code !== 0) throw new Error(`publish: ${done.stderr}`);
  return done.stdout.toString().trim();
}

export const idOf = (link) => link.split("/c/")[1].split("/")[0];
export const pathOf = (link) => link.slice(link.indexOf("/c/"));
export const same = (a, b) => createHash("sha256").update(a).digest("hex") === createHash("sha256").update(b).digest("hex");

/** Names in a folder, or none. */
export const names = (path) => (existsSync(path) ? readdirSync(path).sort() : []);

/** A number of /proc/PID/status in bytes: VmRSS or VmHWM. */
export function memory(pid, field = "VmHWM") {
  const line = readFileSync(`/proc/${pid}/status`, "utf8").split("\n").find((line) => line.startsWith(`${field}:`));
  return Number(line.split(/\s+/)[1]) * 1024;
}

/** A TCP server of a stranger's; `serve` gets each socket. */
export async function server(serve) {
  const sockets = new Set();
  const listening = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    serve(socket);
  });
  await new Promise((resolve) => listening.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${listening.address().port}`,
    close: () => {
      sockets.forEach((socket) => socket.destroy());
      return new Promise((resolve) => listening.close(resolve));
    },
  };
}

/** A server that answers HTTP requests, one a connection; `answer` gets method, path and range, and the socket. */
export function httpServer(answer) {
  return server((socket) => {
    let head = "";
    socket.on("data", (bytes) => {
      head += bytes;
      if (!head.includes("\r\n\r\n")) return;
      const [first] = head.split("\r\n");
      const [method, path] = first.split(" ");
      const range = /\r\nrange: bytes=(\d+)-(\d+)/i.exec(head);
      head = "";
      answer({ method, path, range: range && [Number(range[1]), Number(range[2])] }, socket);
    });
  });
}

/** An answer as bytes. */
export function answerOf(status, headers, body = Buffer.alloc(0)) {
  const all = { "content-length": body.length, connection: "close", ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`).join("");
  return Buffer.concat([Buffer.from(`HTTP/1.1 ${status}\r\n${lines}\r\n`), body]);
}
