// Starting, stopping, and what runs out.
import { spawn, spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterEach, test } from "vitest";
import { attacked } from "./attack.mjs";
import { Stranger } from "./stranger.mjs";
import { PEEREDGE, Raw, Relay, ask, canLimitFiles, file, folder, network, until, wait } from "./relay-tools.mjs";
import { freePort } from "../browser/relay.mjs";

let relays = [];
let held = [];
let files = [];

afterEach(async () => {
  for (const one of held) one.close();
  for (const relay of relays) await relay.stop();
  for (const one of files) one.remove();
  [relays, held, files] = [[], [], []];
});

const start = async (more) => {
  const relay = await Relay.start(more);
  relays.push(relay);
  return relay;
};

/** Runs `peeredge serve` to its end, and gives its code and what it said. */
function serve(settings) {
  const data = folder();
  files.push(data);
  const flags = Object.entries({ data_dir: data.path, log_level: "warn", ...settings }).map(([name, value]) => `--${name.replaceAll("_", "-")}=${value}`);
  const ran = spawnSync(PEEREDGE, ["serve", ...flags], { timeout: 15_000, encoding: "utf8" });
  return { code: ran.status, said: ran.stderr };
}

const takenUdp = async () => {
  const socket = createSocket("udp4");
  await new Promise((resolve) => socket.bind(0, "127.0.0.1", resolve));
  held.push(socket);
  return socket.address().port;
};

test("two relays on neighbouring ports both start", async () => {
  let port = await freePort();
  // Three in a row: the second one's port is where the first one answers STUN.
  const all = [];
  for (let n = 0; n < 3; n += 1) all.push(await start({ port: port + n }));
  const answers = await Promise.all(all.map((relay) => ask(relay.port, { path: "/readyz" })));
  attacked({ room: "relay", kind: "lifecycle", name: "relays on neighbouring ports", spent: "nothing", lost: answers.join(" "), held: answers.every((status) => status === 200) });
});

for (const [setting, what] of [["rtc_bind", "WebRTC"], ["stun_bind", "STUN"]]) {
  test(`a taken UDP port that ${setting} names ends the start with a sentence`, async () => {
    const taken = await takenUdp();
    const { code, said } = serve({ bind: `127.0.0.1:${await freePort()}`, [setting]: `127.0.0.1:${taken}` });
    const held = code === 1 && said.includes(String(taken)) && said.includes(setting) && said.includes(what) && !said.includes("panicked");
    attacked({ room: "relay", kind: "lifecycle", name: `a taken UDP port for ${what}`, spent: "nothing", lost: said.trim(), held });
  });
}

for (const setting of ["bind", "admin_bind", "bind_more"]) {
  test(`a taken TCP port that ${setting} names ends the start with a sentence`, async () => {
    const server = createServer();
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    held.push(server);
    const taken = server.address().port;
    const { code, said } = serve({ bind: `127.0.0.1:${await freePort()}`, [setting]: `127.0.0.1:${taken}` });
    attacked({ room: "relay", kind: "lifecycle", name: `a taken TCP port for ${setting}`, spent: "nothing", lost: said.trim(), held: code === 1 && said.includes(String(taken)) && said.includes(setting) && !said.includes("panicked") });
  });
}

test("a hang-up ends nothing, and the word to stop still does", async () => {
  const relay = await start({});
  for (let n = 0; n < 5; n += 1) for (const signal of ["SIGHUP", "SIGUSR1", "SIGUSR2", "SIGPIPE"]) relay.process.kill(signal);
  await wait(300);
  const status = await ask(relay.port, { path: "/readyz" });
  relay.process.kill("SIGTERM");
  const code = await Promise.race([relay.exited, wait(8_000).then(() => "late")]);
  attacked({ room: "relay", kind: "lifecycle", name: "SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE", spent: "20 signals", lost: `answer ${status}, ended with ${code}`, held: status === 200 && code === 0 });
});

test("the soft limit of open files is raised", async () => {
  if (!canLimitFiles()) return;
  const data = folder();
  files.push(data);
  const [port, admin] = [await freePort(), await freePort()];
  const child = spawn("prlimit", ["--nofile=256:2048", PEEREDGE, "serve", `--bind=127.0.0.1:${port}`, `--admin-bind=127.0.0.1:${admin}`, `--data-dir=${data.path}`, "--connections-per-owner-max=2000", "--log-level=warn"], { stdio: "ignore" });
  await until(async () => (await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => null))?.ok);
  for (let n = 0; n < 600; n += 1) held.push(await Raw.connect(port, { from: network(1) }));
  let open = 0;
  // The last ones may still be waiting to be accepted.
  for (let tries = 0; tries < 50 && open < 600; tries += 1) {
    const text = await (await fetch(`http://127.0.0.1:${admin}/metrics`)).text();
    open = Number(/^peeredge_connections (\d+)/m.exec(text)[1]);
    if (open < 600) await new Promise((resolve) => setTimeout(resolve, 100));
  }
  child.kill("SIGTERM");
  await new Promise((resolve) => child.on("exit", resolve));
  attacked({ room: "relay", kind: "lifecycle", name: "a low soft limit of open files", spent: "600 connections", lost: `${open} open`, held: open >= 600 });
});

test("without open files left idle connections give way, and the log stays short", async () => {
  if (!canLimitFiles()) return;
  const data = folder();
  files.push(data);
  const port = await freePort();
  let log = "";
  const child = spawn("prlimit", ["--nofile=160:160", PEEREDGE, "serve", `--bind=127.0.0.1:${port}`, `--data-dir=${data.path}`, "--log-level=warn"], { stdio: ["ignore", "ignore", "pipe"] });
  child.stderr.on("data", (bytes) => (log += bytes));
  await until(async () => (await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => null))?.ok);
  for (let n = 0; n < 300; n += 1) held.push(await Raw.connect(port, { from: network(10 + (n % 50)) }));
  const answers = [];
  for (let n = 0; n < 5; n += 1) answers.push(await ask(port, { from: network(100 + n) }));
  const lines = log.split("\n").filter((line) => line.includes("accepted")).length;
  child.kill("SIGTERM");
  await new Promise((resolve) => child.on("exit", resolve));
  attacked({ room: "relay", kind: "lifecycle", name: "no open files left", spent: "300 connections", lost: `${answers.join(" ")}, ${lines} lines`, held: answers.every((status) => status === 200) && lines <= 3 });
});

test("files that were read keep no descriptor from whoever comes", async () => {
  if (!canLimitFiles()) return;
  const data = folder();
  files.push(data);
  const contents = Array.from({ length: 50 }, (_, n) => file(join(data.path, `${n}.bin`), 50_000, n + 1));
  const published = spawnSync(PEEREDGE, ["publish", "-q", "--data-dir", join(data.path, "data"), ...contents], { encoding: "utf8" });
  const paths = published.stdout.trim().split("\n").map((link) => new URL(link).pathname);
  const port = await freePort();
  const words = ["serve", `--bind=127.0.0.1:${port}`, "--admin-bind=127.0.0.1:0", `--data-dir=${join(data.path, "data")}`, "--log-level=warn"];
  const child = spawn("prlimit", ["--nofile=64:64", PEEREDGE, ...words], { stdio: "ignore" });
  await until(async () => (await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => null))?.ok);
  const statuses = [];
  for (const path of [...paths, ...paths]) statuses.push(await ask(port, { path }));
  child.kill("SIGTERM");
  await new Promise((resolve) => child.on("exit", resolve));
  const few = spawnSync("prlimit", ["--nofile=20:20", PEEREDGE, ...words], { timeout: 15_000, encoding: "utf8" });
  const served = statuses.filter((status) => status === 200).length;
  attacked({ room: "relay", kind: "lifecycle", name: "64 open files and 50 contents that are asked for", spent: "100 requests", lost: `${100 - served} answers${served === 100 ? "" : ` (${statuses.join(" ")})`}`, held: paths.length === 50 && served === 100 && few.status === 1 && /limit of open files is 20/.test(few.stderr) });
});

test("all addresses of IPv6 are all addresses, and IPv4 clients are told apart", async () => {
  const [port, admin] = [await freePort(), await freePort()];
  const relay = await start({ port, settings: { bind: `[::]:${port}`, admin_bind: `127.0.0.1:${admin}`, public_url: `http://127.0.0.1:${port}`, rtc_public: `127.0.0.1:0,[::1]:0`, connections_per_owner_max: 5 } });
  relay.admin = `http://127.0.0.1:${admin}`;
  for (let n = 0; n < 20; n += 1) held.push(await Raw.connect(port, { from: network(1) }));
  const four = await ask(port);
  const six = await fetch(`http://[::1]:${port}/readyz`).then((answer) => answer.status, (error) => error.message);
  const open = await relay.metric("peeredge_connections");
  attacked({ room: "relay", kind: "lifecycle", name: "IPv4 and IPv6 together", spent: "20 connections", lost: `${four} ${six}, ${open} open`, held: four === 200 && six === 200 && open <= 8 });
});

test("a log that nobody reads stops nobody, and keeps nobody from stopping the relay", async () => {
  const data = folder();
  files.push(data);
  const port = await freePort();
  const child = spawn(PEEREDGE, ["serve", `--bind=127.0.0.1:${port}`, "--admin-bind=127.0.0.1:0", `--data-dir=${data.path}`, "--log-level=debug"], { stdio: ["ignore", "ignore", "pipe"] });
  const exited = new Promise((resolve) => child.on("exit", (code, signal) => resolve(signal ?? code)));
  const closed = new Promise((resolve) => child.on("close", resolve));
  // A pager that waits for a key: nothing is read of what is said from here on.
  child.stderr.pause();
  let answered = 0;
  await until(async () => (await ask(port, { path: "/readyz" })) === 200);
  // Each request is a line of about 100 bytes, and a pipe takes 64 KiB.
  for (let n = 0; n < 60; n += 1) {
    const statuses = await Promise.all(Array.from({ length: 50 }, () => fetch(`http://127.0.0.1:${port}/livez`, { signal: AbortSignal.timeout(10_000) }).then((answer) => answer.status, () => 0)));
    answered += statuses.filter((status) => status === 200).length;
    if (statuses.includes(0)) break;
  }
  let log = "";
  child.stderr.on("data", (bytes) => (log += bytes));
  child.stderr.resume();
  await until(() => log.length > 60_000);
  await ask(port, { path: "/readyz" });
  const told = await until(() => /\(\d+ lines were lost here/.test(log));
  child.stderr.pause();
  child.kill("SIGTERM");
  const code = await Promise.race([exited, wait(15_000).then(() => "late")]);
  if (code === "late") child.kill("SIGKILL");
  child.stderr.resume();
  await closed;
  attacked({ room: "relay", kind: "standing still", name: "a log that nobody reads", spent: "3,000 requests", lost: `${3000 - answered} answers, ended with ${code}, gap ${told === null ? "not " : ""}told`, held: answered === 3000 && code === 0 && told !== null });
});

test("a relay that was stopped itself has its peers when it goes on", async () => {
  const relay = await start({ settings: { idle_timeout_ms: 3000, ping_interval_ms: 500 } });
  const peers = [];
  for (let n = 1; n <= 5; n += 1) peers.push(await Stranger.connect(relay.url, { from: network(n) }));
  relay.process.kill("SIGSTOP");
  await wait(6_000);
  relay.process.kill("SIGCONT");
  // Long enough to be asked, and to be given up on if that were not answered.
  await wait(2_500);
  const lost = peers.filter((peer) => peer.closed !== null).length;
  // One that is silent itself is still given up on.
  peers[0].socket.pause();
  const silent = await until(async () => /reason="silent"\} 1/.test(await (await fetch(`${relay.admin}/metrics`)).text()), 20_000);
  for (const peer of peers) peer.close();
  attacked({ room: "relay", kind: "lifecycle", name: "a machine that sleeps for longer than a peer may be silent", spent: "6 s", lost: `${lost} of 5 connections`, held: lost === 0 && silent !== null });
});
