// Homes behind address translators, as network namespaces of this machine: an internet with the relay in it, and homes whose
// router translates. Needs root, `ip` and `nft`.
//
//   internet 198.51.100.1/24 (the tests: .250) --- router of home n: 198.51.100.(n + 1) | 10.0.n.1 --- home n: 10.0.n.2
import { execFileSync, spawnSync } from "node:child_process";
import { readlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { temporaryFolder } from "./harness.mjs";

export const INTERNET = "198.51.100.1";

/** Why there are no namespaces here; null when there are. */
export function whyNoNamespaces() {
  if (process.getuid?.() !== 0) return "network namespaces need root";
  for (const [tool, words] of [["ip", ["-V"]], ["nft", ["-v"]]]) {
    if (spawnSync(tool, words).status !== 0) return `the command ${tool} is missing (Debian: apt-get install iproute2 nftables)`;
  }
  const name = `pe-${process.pid}-try`;
  const made = spawnSync("ip", ["netns", "add", name], { encoding: "utf8" });
  const tried =
    made.status === 0 && spawnSync("ip", ["netns", "exec", name, "nft", "add table ip nat; add chain ip nat post { type nat hook postrouting priority 100; }"]);
  spawnSync("ip", ["netns", "del", name]);
  return tried && tried.status === 0 ? null : "this kernel has no network namespaces with translation";
}

/** `pe`, the process that made it, what it is. */
const NAME = /^pe(\d+)(net|[rh]\d+)$/;

/** The names of all such namespaces here, of whichever process. */
export function namespaces() {
  const listed = execFileSync("ip", ["netns", "list"], { encoding: "utf8" });
  return listed.split("\n").map((line) => line.split(" ")[0]).filter((name) => NAME.test(name));
}

/**
 * Takes away what a test run that was killed has left: two machines of one address would be two networks, and this machine would
 * talk to the dead one.
 */
function sweep() {
  for (const name of namespaces()) {
    const maker = Number(NAME.exec(name)[1]);
    if (maker !== process.pid && isNode(maker)) continue;
    for (const pid of execFileSync("ip", ["netns", "pids", name], { encoding: "utf8" }).split("\n").filter(Boolean)) {
      spawnSync("kill", ["-9", pid]);
    }
    spawnSync("ip", ["link", "del", `pe${maker}-own`]);
    spawnSync("ip", ["netns", "del", name]);
  }
}

/** Whether a process of this number lives and runs tests: numbers are used again. */
function isNode(pid) {
  try {
    return basename(readlinkSync(`/proc/${pid}/exe`)) === basename(process.execPath);
  } catch {
    return false;
  }
}

export class Networks {
  #prefix = `pe${process.pid}`;
  #spaces = [];

  constructor() {
    sweep();
    this.#add("net");
    this.#in("net", "ip link add br0 type bridge; ip addr add 198.51.100.1/24 dev br0; ip link set br0 up");
    // This machine itself is on the internet, too: the tests talk to the relay.
    const own = `${this.#prefix}-own`;
    execFileSync("ip", ["link", "add", own, "type", "veth", "peer", "name", "test", "netns", this.name("net")]);
    this.#in("net", "ip link set test master br0; ip link set test up");
    execFileSync("ip", ["addr", "add", "198.51.100.250/24", "dev", own]);
    execFileSync("ip", ["link", "set", own, "up"]);
  }

  /**
   * A home behind a translator. `"keeps"`: a socket is seen under one port by everybody, and only those to whom it sent reach it.
   * `"symmetric"`: it is seen under another port by each.
   */
  home(number, kind) {
    const [router, home] = [`r${number}`, `h${number}`];
    this.#add(router);
    this.#add(home);
    this.#cable("net", `n${number}`, router, "out");
    this.#cable(router, "in", home, "eth0");
    this.#in("net", `ip link set n${number} master br0; ip link set n${number} up`);
    this.#in(router, `ip addr add 198.51.100.${number + 1}/24 dev out; ip link set out up; ip addr add 10.0.${number}.1/24 dev in; ip link set in up; sysctl -q -w net.ipv4.ip_forward=1`);
    this.#in(home, `ip addr add 10.0.${number}.2/24 dev eth0; ip link set eth0 up; ip route add default via 10.0.${number}.1`);
    const flags = kind === "symmetric" ? " fully-random" : "";
    this.#nft(router, `add table ip nat; add chain ip nat post { type nat hook postrouting priority 100; }; add rule ip nat post oifname "out" masquerade${flags}`);
    // What nobody inside asked for stays outside, and leaves no trace: an entry for it would take the port from whom it was for.
    this.#nft(router, `add table ip filter; add chain ip filter arriving { type filter hook input priority 0; }; add rule ip filter arriving iifname "out" ct state new drop`);
    this.#nft(router, `add table ip filter; add chain ip filter forwarding { type filter hook forward priority 0; policy drop; }; add rule ip filter forwarding ct state established,related accept; add rule ip filter forwarding iifname "in" accept`);
    return this.name(home);
  }

  /** The router of a home gets another address outside and forgets what it has translated. */
  rebind(number) {
    this.#in(`r${number}`, `ip addr del 198.51.100.${number + 1}/24 dev out; ip addr add 198.51.100.${number + 101}/24 dev out`);
  }

  /** A home's machine leaves its router for that of another home. */
  move(number, to) {
    this.#in(`h${number}`, "ip link del eth0");
    this.#cable(`r${to}`, "in2", `h${number}`, "eth0");
    this.#in(`r${to}`, `ip addr add 10.1.${to}.1/24 dev in2; ip link set in2 up`);
    this.#nft(`r${to}`, `add rule ip filter forwarding iifname "in2" accept`);
    this.#in(`h${number}`, `ip addr add 10.1.${to}.2/24 dev eth0; ip link set eth0 up; ip route add default via 10.1.${to}.1`);
  }

  /** The namespace's name, for `ip netns exec`. */
  name(space) {
    return `${this.#prefix}${space}`;
  }

  get internet() {
    return this.name("net");
  }

  close() {
    // A namespace goes when its last process has gone, and this name is needed again before.
    spawnSync("ip", ["link", "del", `${this.#prefix}-own`]);
    for (const space of this.#spaces) spawnSync("ip", ["netns", "del", this.name(space)]);
  }

  #add(space) {
    execFileSync("ip", ["netns", "add", this.name(space)]);
    this.#spaces.push(space);
    this.#in(space, "ip link set lo up");
  }

  #cable(from, fromName, to, toName) {
    const peer = ["type", "veth", "peer", "name", toName, "netns", this.name(to)];
    execFileSync("ip", ["link", "add", fromName, "netns", this.name(from), ...peer]);
  }

  #in(space, commands) {
    execFileSync("ip", ["netns", "exec", this.name(space), "sh", "-e", "-c", commands], { stdio: ["ignore", "ignore", "inherit"] });
  }

  #nft(space, rules) {
    execFileSync("ip", ["netns", "exec", this.name(space), "nft", rules]);
  }
}

/** A program that runs another one in a namespace: for callers that take a path. */
export function inNamespace(namespace, program) {
  const path = join(temporaryFolder("netns"), "run");
  writeFileSync(path, `#!/bin/sh\nexec ip netns exec ${namespace} ${program} "$@"\n`, { mode: 0o755 });
  return path;
}
