// What strangers at the relay's ports have in common: networks, raw connections, and one good client to ask whether it is served.
import { execFile, execFileSync, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { constants, getPriority, setPriority, tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { PEEREDGE, Relay } from "../browser/relay.mjs";

/** An address of the n-th network (a /24), of which the machine's loopback has many. */
export const network = (n, host = 1) => `127.${1 + (n >> 8)}.${n & 255}.${host}`;

export const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until something is so; gives the milliseconds that took, or null when it never was. */
export async function until(isSo, ms = 10_000) {
  const began = performance.now();
  while (performance.now() - began < ms) {
    if (await isSo()) return performance.now() - began;
    await wait(20);
  }
  return null;
}

/** A folder that goes with the test. */
export function folder() {
  const path = mkdtempSync(join(tmpdir(), "peeredge-attack-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** A file of so many bytes, no two of them alike. */
export function file(path, bytes, seed = 1) {
  const content = Buffer.alloc(bytes);
  for (let at = 0; at + 4 <= bytes; at += 4) content.writeUInt32LE((at * 2654435761 + seed) >>> 0, at);
  writeFileSync(path, content);
  return path;
}

/** A raw TCP connection from an address; `said` is sent at once. It swallows what comes unless it is `deaf`. */
export class Raw {
  static async connect(port, { from = network(1), said = "", deaf = false, host = "127.0.0.1" } = {}) {
    const raw = new Raw();
    Object.assign(raw, { closed: false, heard: Buffer.alloc(0), heardBytes: 0 });
    raw.socket = connect({ port, host, localAddress: from });
    raw.socket.on("error", () => {});
    raw.socket.on("close", () => (raw.closed = true));
    if (deaf) raw.socket.pause();
    else {
      raw.socket.on("data", (bytes) => {
        raw.heardBytes += bytes.length;
        if (raw.heard.length < 65_536) raw.heard = Buffer.concat([raw.heard, bytes]);
      });
    }
    await new Promise((resolve) => {
      raw.socket.once("connect", resolve);
      raw.socket.once("close", resolve);
    });
    if (said) raw.say(said);
    return raw;
  }

  say(bytes) {
    if (!this.closed) this.socket.write(bytes);
  }

  /** The status of the first answer, 0 when there was none. */
  get status() {
    return Number(/^HTTP\/1\.1 (\d+)/.exec(this.heard.toString("latin1"))?.[1] ?? 0);
  }

  /** Ends it as a network that vanishes would. */
  reset() {
    this.socket.resetAndDestroy();
  }

  close() {
    this.socket.destroy();
  }
}

/** One request, and its status: 0 when the connection was closed without an answer or nothing came in time. */
export async function ask(port, { path = "/api/contents", from = network(2), headers = {}, method = "GET", ms = 5_000 } = {}) {
  const lines = Object.entries({ host: `127.0.0.1:${port}`, connection: "close", ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  const raw = await Raw.connect(port, { from, said: `${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n` });
  await until(() => raw.closed || raw.status !== 0, ms);
  raw.close();
  return raw.status;
}

/** A WebSocket by hand after its handshake, so that frames can be sent that no library sends. */
export async function rawSocket(relay, from = network(1)) {
  const key = Buffer.alloc(16, 7).toString("base64");
  const said =
    `GET /ws HTTP/1.1\r\nhost: 127.0.0.1:${relay.port}\r\nconnection: upgrade\r\nupgrade: websocket\r\n` +
    `sec-websocket-version: 13\r\nsec-websocket-key: ${key}\r\n\r\n`;
  const raw = await Raw.connect(relay.port, { from, said });
  await until(() => raw.closed || raw.heard.includes("\r\n\r\n"), 3_000);
  return raw;
}

/** A client's frame: masked with zeros, at most 125 bytes. */
export const wsFrame = (first, payload = "") => Buffer.concat([Buffer.from([first, 0x80 | payload.length, 0, 0, 0, 0]), Buffer.from(payload)]);

/** The link of the first content that the relay publishes, once it does. */
export async function firstContent(relay) {
  let list = [];
  await until(async () => (list = await (await fetch(`${relay.url}/api/contents`)).json()).length > 0);
  return list[0];
}

/** Fetches a link over WebRTC alone, as a native peer at 127.0.0.1 does. Gives whether it came, and in how many milliseconds. */
export async function fetchesByPeers(link, ms = 20_000) {
  const out = folder();
  const began = performance.now();
  const child = spawn(PEEREDGE, ["get", link, "-o", join(out.path, "out"), "--no-http", "--quiet"], { stdio: "ignore" });
  const exited = new Promise((resolve) => child.on("exit", resolve));
  const code = await Promise.race([exited, wait(ms).then(() => "late")]);
  if (code === "late") child.kill("SIGKILL");
  await exited;
  out.remove();
  return { came: code === 0, ms: performance.now() - began };
}

/** A UDP socket at an address, which counts what it hears. */
export async function udp(from) {
  const socket = createSocket("udp4");
  await new Promise((resolve) => socket.bind(0, from, resolve));
  const it = { socket, heard: 0, heardBytes: 0, send: (bytes, port) => new Promise((resolve) => socket.send(bytes, port, "127.0.0.1", resolve)), close: () => socket.close() };
  socket.on("message", (bytes) => {
    it.heard += 1;
    it.heardBytes += bytes.length;
  });
  socket.on("error", () => {});
  return it;
}

/** A binding request of 20 bytes. */
export const STUN_REQUEST = Buffer.from("000100002112a442" + "7477656c7665206279746573".slice(0, 24), "hex");

/** Whether the process may be limited to so many open files. */
export function canLimitFiles() {
  try {
    execFileSync("prlimit", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/**
 * The 99th percentile of how long a good client of another network waits for an answer, over so many requests one after the other.
 *
 * A stranger's machine is not the relay's: what this process spends on making the flood is not to be what the good client waits for, so
 * meanwhile it gives way to both (where it may take its priority back, which root may).
 */
export async function goodP99(relay, { count = 300, from = network(2), path = "/livez" } = {}) {
  const script = join(import.meta.dirname, "good-client.mjs");
  const answered = promisify(execFile)(process.execPath, [script, String(relay.port), from, path, String(count)]);
  const priority = getPriority();
  const gives = process.getuid?.() === 0;
  if (gives) setPriority(constants.priority.PRIORITY_LOW);
  try {
    return Number((await answered).stdout);
  } finally {
    if (gives) setPriority(priority);
  }
}

export { PEEREDGE, Relay };
