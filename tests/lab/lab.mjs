// The link lab for tests and benchmarks: hostile paths between real browsers, the relay and plain HTTP servers.
//
//   const lab = await Lab.start();
//   await lab.endpoint("relay", { up: { bytes_per_s: 1_250_000, delay_ms: 10 } });
//   await lab.endpoint("anna", { up: { delay_ms: 20, loss: 0.01 }, down: { trace: "some.down.xz" } });
//   const url = await lab.gate("anna", "relay", stage.relay.url);      // what anna's tab uses in place of the relay's address
//   await tab.create({ relay: url });
//   await lab.endpoint("anna", { up: { bytes_per_s: 10_000 } });       // from now on
//   await lab.stop();
//
// A link: bytes_per_s, or steps [[ms, bytes_per_s], …], or trace (a mahimahi file, .xz or plain); queue_bytes (262,144), delay_ms,
// jitter_ms, loss, reorder (shares), reorder_ms. A packet takes the sender's `up`, then the receiver's `down`.
import { spawn } from "node:child_process";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { ROOT, run, step } from "../../scripts/lib/run.mjs";

const TARGET = process.env.CARGO_TARGET_DIR ?? "target";
const BINARY = resolve(ROOT, TARGET, "release", process.platform === "win32" ? "peeredge-lab.exe" : "peeredge-lab");

/** Builds the lab's program unless it is built. */
export async function buildLab() {
  const inputs = ["Cargo.toml", "Cargo.lock", "tests/lab/Cargo.toml", "tests/lab/src", "crates/wire/src"];
  await step("link lab", { inputs, outputs: [join(TARGET, "release/peeredge-lab")] }, () =>
    run("cargo", ["build", "--release", "--package", "peeredge-lab"]),
  );
}

export class Lab {
  #waiting = [];

  /** `seed` decides about all chance in the lab. */
  static async start({ seed = 1 } = {}) {
    await buildLab();
    const lab = new Lab();
    lab.process = spawn(BINARY, [String(seed)], { stdio: ["pipe", "pipe", "inherit"] });
    lab.exited = new Promise((resolve) => lab.process.on("exit", resolve));
    createInterface({ input: lab.process.stdout }).on("line", (line) => {
      const { resolve, reject } = lab.#waiting.shift();
      const answer = JSON.parse(line);
      if (answer.error) reject(new Error(`lab: ${answer.error}`));
      else resolve(answer);
    });
    void lab.exited.then(() => lab.#waiting.splice(0).forEach(({ reject }) => reject(new Error("the lab has ended"))));
    return lab;
  }

  /** Makes an endpoint, or changes those links of it that are given. */
  endpoint(name, { up = null, down = null } = {}) {
    return this.#ask({ op: "endpoint", name, up, down });
  }

  /** The URL that `client` uses in place of `url`, a server that sits at the endpoint `server`. */
  async gate(client, server, url) {
    const { protocol, host } = new URL(url);
    const { address } = await this.#ask({ op: "gate", client, server, address: host });
    return `${protocol}//${address}`;
  }

  /** For descriptions that a script carries itself from `owner` to `viewer`: gives them with the lab's addresses. */
  async rewrite(owner, viewer, description) {
    const { text } = await this.#ask({ op: "rewrite", owner, viewer, text: JSON.stringify(description) });
    return JSON.parse(text);
  }

  /** `{ up, down }`, each with `packets`, `bytes`, `dropped` by a full queue, and `lost`. */
  counts(name) {
    return this.#ask({ op: "counts", name });
  }

  async stop() {
    this.process.stdin.end();
    await this.exited;
  }

  #ask(command) {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.process.stdin.write(`${JSON.stringify(command)}\n`);
    });
  }
}
