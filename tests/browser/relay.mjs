// The real relay as a child process, with a folder of its own.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RELAY, TESTED_RELAY } from "../../scripts/lib/steps.mjs";

/** Tests have the checks of a debug build; benchmarks, which share the harness, what is released. */
export const PEEREDGE = process.env.VITEST && !process.env.ATTACKS_RELEASED ? TESTED_RELAY : RELAY;
const READY_WITHIN_MS = 15_000;

export class Relay {
  /**
   * Starts a relay on a free port. `publish`: files to publish. `settings`: settings by their names
   * (`upload_bytes_per_s_max: 1_000_000`). `host` and `namespace`: where it listens. `env`: more of its environment. `dataDir`: a folder that outlives the relay; by default one that goes with it.
   */
  static async start({ publish = [], settings = {}, dataDir = null, port = null, host = "127.0.0.1", namespace = null, env = {} } = {}) {
    const relay = new Relay();
    relay.port = port ?? (await freePort());
    relay.url = `http://${host}:${relay.port}`;
    const adminPort = await freePort();
    relay.admin = `http://${host}:${adminPort}`;
    relay.ownsDataDir = dataDir === null;
    relay.dataDir = dataDir ?? mkdtempSync(join(tmpdir(), "peeredge-relay-"));
    relay.log = "";
    const flags = Object.entries({
      bind: `${host}:${relay.port}`,
      admin_bind: `${host}:${adminPort}`,
      data_dir: relay.dataDir,
      log_level: "warn",
      ...settings,
    }).map(([name, value]) => `--${name.replaceAll("_", "-")}=${value}`);
    const files = publish.map((file) => `--publish=${file}`);
    const [program, ...words] = [...(namespace ? ["ip", "netns", "exec", namespace] : []), PEEREDGE, "serve", ...flags, ...files];
    relay.process = spawn(program, words, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [relay.process.stdout, relay.process.stderr]) {
      stream.on("data", (bytes) => {
        relay.log += bytes;
        if (process.env.PEEREDGE_TEST_LOG) process.stdout.write(`[relay] ${bytes}`);
      });
    }
    relay.exited = new Promise((resolve) => {
      relay.process.on("exit", (code, signal) => resolve(signal ?? code));
      relay.process.on("error", (error) => {
        relay.log += error.message;
        resolve(error.code);
      });
    });
    await relay.#ready();
    return relay;
  }

  /** Ends it as a power cut would. */
  async kill() {
    this.process.kill("SIGKILL");
    await this.exited;
  }

  /** Ends it as an operator would. Its data goes, unless the caller owns the folder. */
  async stop() {
    this.process.kill("SIGTERM");
    const late = setTimeout(() => this.process.kill("SIGKILL"), 8_000);
    await this.exited;
    clearTimeout(late);
    if (this.ownsDataDir) rmSync(this.dataDir, { recursive: true, force: true });
  }

  /** A counter or gauge of /metrics, read on the operator's port; labels as they are written there. */
  async metric(name) {
    const text = await (await fetch(`${this.admin}/metrics`)).text();
    const line = text.split("\n").find((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
    return line === undefined ? null : Number(line.split(" ").at(-1));
  }

  async #ready() {
    const until = performance.now() + READY_WITHIN_MS;
    let exit = null;
    void this.exited.then((code) => (exit = code));
    while (performance.now() < until) {
      const answer = await fetch(`${this.url}/readyz`).catch(() => null);
      if (answer?.ok) return;
      if (exit !== null) break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    this.process.kill("SIGKILL");
    throw new Error(`the relay is not ready (${exit ?? "too slow"}): ${this.log}`);
  }
}

/** A TCP port that was free a moment ago. */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
