// A stage for tests in a real browser: one Chromium, the real relay, pages that import the packed package as a stranger's would.
//
//   const stage = await Stage.open();                     // relay, page server, browser
//   const a = await stage.tab(), b = await stage.tab();   // each in a browser context, so with a store, of its own
//   await a.create({ consent: "granted" });
//   const { link } = await a.publish({ seed: 1, length: 64 << 20 });
//   await b.create({ consent: "granted" });
//   await b.fetch(link, { seed: 1 });                     // fails unless every byte is right
//   await stage.close();
import { execFileSync } from "node:child_process";
import { createServer } from "node:http";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { findChromium } from "../../scripts/lib/chromium.mjs";
import { CACHE } from "../../scripts/lib/run.mjs";
import { Relay } from "./relay.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm" };

/** What every Chromium here is started with: no sandbox for root, no traffic of its own, loopback addresses for WebRTC. */
export const CHROMIUM_ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--allow-loopback-in-peer-connection",
  "--disable-features=WebRtcHideLocalIpsWithMdns",
];

/** Starts a Chromium as the tests need it. */
export function launchChromium(options = {}) {
  const executablePath = findChromium();
  if (!executablePath) throw new Error("no Chromium was found: run `npm test`, or set CHROMIUM_PATH");
  return chromium.launch({ executablePath, args: CHROMIUM_ARGUMENTS, timeout: 60_000, ...options });
}

/** Relay, page server and browser. */
export class Stage {
  /**
   * `relay`: false for none, or settings of the relay (see `Relay.start`). `pages`: a folder, or several, served as well, before
   * this one's. `headers`: sent with every page, for instance a content security policy. `flags`: for Chromium, beside the usual ones.
   */
  static async open({ relay = {}, pages = null, headers = {}, flags = [] } = {}) {
    const stage = new Stage();
    try {
      stage.site = await Site.start([...(pages ? [pages].flat() : []), HERE], headers);
      if (relay !== false) stage.relay = await Relay.start(relay);
      stage.browser = await launchChromium({ args: [...CHROMIUM_ARGUMENTS, ...flags] });
    } catch (error) {
      await stage.close();
      throw error;
    }
    return stage;
  }

  /** A tab in a context of its own; `context` puts it beside another tab, in the same store. */
  async tab({ context = null, path = "/blank.html" } = {}) {
    // Without the permission a page learns no loopback candidate.
    const own = context ?? (await this.browser.newContext({ permissions: ["microphone"] }));
    return Tab.open(this, own, new URL(path, this.site.url).href);
  }

  /** Closes every tab, with its store. */
  async closeTabs() {
    await Promise.all(this.browser.contexts().map((context) => context.close()));
  }

  /** Sockets of the browser, seen from outside: TCP connections to the relay, and UDP sockets (WebRTC has one or more a connection). */
  sockets() {
    return socketsOf(childrenOf(process.pid, this.relay?.process.pid), this.relay?.port ?? 0);
  }

  /** Waits until {@link sockets} are these. */
  async untilSockets(expected, withinMs = 10_000) {
    const until = performance.now() + withinMs;
    let found = this.sockets();
    while (found.tcp !== expected.tcp || found.udp !== expected.udp) {
      if (performance.now() > until) throw new Error(`sockets: ${JSON.stringify(found)} instead of ${JSON.stringify(expected)}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
      found = this.sockets();
    }
  }

  async close() {
    await this.browser?.close();
    await this.relay?.stop();
    await this.site?.stop();
  }
}

/** One page, and the peer in it. */
export class Tab {
  static async open(stage, context, url) {
    const tab = new Tab();
    Object.assign(tab, { stage, context, url, errors: [] });
    tab.page = await context.newPage();
    tab.page.setDefaultTimeout(120_000);
    tab.page.on("pageerror", (error) => tab.errors.push(error.message));
    if (process.env.PEEREDGE_TEST_LOG) tab.page.on("console", (line) => console.log(`[page] ${line.text()}`));
    await tab.page.goto(url);
    await tab.#prepare();
    return tab;
  }

  /** Loads the page anew. The peer in it is gone: call {@link create} again. */
  async reload() {
    await this.page.reload();
    await this.#prepare();
  }

  #prepare() {
    // As text: the test runner rewrites imports that it sees.
    return this.page.evaluate(`import("/page.mjs").then((page) => void (window.harness = page))`);
  }

  /** Runs a function in the page; `window.harness` holds what page.mjs exports. */
  run(job, argument) {
    return this.page.evaluate(job, argument);
  }

  /** Makes the tab's peer with `createPeer`'s options; the relay is the stage's unless given. Gives its id. */
  create(options = {}) {
    const relay = this.stage.relay?.url ?? "http://127.0.0.1:59999";
    return this.run((options) => harness.create(options), { relay, consent: "granted", ...options });
  }

  /** Publishes `length` pseudo-random bytes made of `seed` in the page. Gives what `publish` gives. */
  publish({ seed = 1, length, name = "random.bin", type = "application/octet-stream" }) {
    return this.run((options) => harness.publish(options), { seed, length, name, type });
  }

  /**
   * Fetches, and compares each byte with what `seed` makes. Gives status, headers, bytes, and milliseconds to the response, the
   * first and the last byte. Rejects at a wrong byte. Without `seed` bytes are only counted. `abortAfter`: bytes.
   */
  fetch(link, { seed = null, range = null, abortAfter = null, origin = null } = {}) {
    return this.run((options) => harness.fetch(options), { link: String(link), seed, range, abortAfter, origin });
  }

  /** Starts a {@link fetch} without waiting; its result comes from {@link finished}. */
  start(link, options = {}) {
    const { seed = null, range = null, abortAfter = null } = options;
    return this.run((options) => harness.start(options), { link: String(link), seed, range, abortAfter });
  }

  /** Verified bytes that a started fetch has read. */
  read(number) {
    return this.run((number) => harness.read(number), number);
  }

  finished(number) {
    return this.run((number) => harness.finished(number), number);
  }

  /** Waits until a started fetch has read so many bytes. */
  async reach(number, bytes) {
    await this.page.waitForFunction(([number, bytes]) => harness.read(number) >= bytes, [number, bytes], { polling: 20 });
  }

  remove(content) {
    return this.run((content) => harness.peer().remove(content), content);
  }

  setConsent(consent) {
    return this.run((consent) => harness.peer().setConsent(consent), consent);
  }

  setCaps(caps) {
    return this.run((caps) => harness.peer().setCaps(caps), caps);
  }

  stats() {
    return this.run(() => harness.stats());
  }

  /** Events since the tab's peer was made: `{name, detail}`, without `progress`. */
  events() {
    return this.run(() => harness.events());
  }

  /** Waits until an event of this name whose detail has these fields has come. */
  async event(name, fields = {}) {
    await this.page.waitForFunction(([name, fields]) => harness.seen(name, fields), [name, fields], { polling: 20 });
  }

  /** Waits until the stats meet a condition, given as a function of them. */
  async until(condition, timeout = 30_000) {
    const source = `(${condition})`;
    await this.page.waitForFunction(
      async (source) => (0, eval)(source)(await harness.stats()),
      source,
      { polling: 50, timeout },
    );
  }

  /** Closes the peer. */
  closePeer() {
    return this.run(() => harness.close());
  }

  /** Dedicated workers of this page that are alive. */
  workers() {
    return this.page.workers().length;
  }

  /** Closes the tab as a visitor does: without a word. */
  async close() {
    await this.page.close();
  }
}

/** Serves the test pages, and the packed package at /peeredge/. */
class Site {
  static async start(folders, headers) {
    const site = new Site();
    const server = createServer((request, response) => {
      const path = normalize(decodeURIComponent(new URL(request.url, "http://site").pathname));
      for (const folder of folders) {
        const file = path.startsWith("/peeredge/") ? join(packedPackage(), path.slice(9)) : join(folder, path);
        try {
          const body = readFileSync(file);
          response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream", ...headers });
          return response.end(body);
        } catch {
          // Not in this folder.
        }
      }
      response.writeHead(404).end();
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    site.url = `http://127.0.0.1:${server.address().port}/`;
    site.stop = () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      });
    return site;
  }
}

let unpacked = null;

/** The tarball of `npm run build`, unpacked: a folder with package.json and dist/. */
export function packedPackage() {
  if (unpacked) return unpacked;
  const folder = mkdtempSync(join(tmpdir(), "peeredge-package-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  execFileSync("tar", ["-xzf", join(CACHE, "peeredge.tgz"), "--strip-components=1", "-C", folder]);
  return (unpacked = folder);
}

/** A folder of the test's own, removed at the end. */
export function temporaryFolder(name) {
  const folder = mkdtempSync(join(tmpdir(), `peeredge-${name}-`));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** Established TCP connections of these processes to this port, and their UDP sockets (Linux). */
function socketsOf(pids, port) {
  const ESTABLISHED = "01";
  const far = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const table = (name) => [...rowsOf(`/proc/net/${name}`), ...rowsOf(`/proc/net/${name}6`)];
  const toPort = table("tcp").filter((row) => row[2].endsWith(far) && row[3] === ESTABLISHED);
  const tcp = new Set(toPort.map((row) => row[9]));
  const udp = new Set(table("udp").map((row) => row[9]));
  const count = { tcp: 0, udp: 0 };
  for (const pid of pids) {
    for (const fd of list(`/proc/${pid}/fd`)) {
      const inode = /^socket:\[(\d+)\]$/.exec(link(`/proc/${pid}/fd/${fd}`))?.[1];
      if (tcp.has(inode)) count.tcp += 1;
      if (udp.has(inode)) count.udp += 1;
    }
  }
  return count;
}

function rowsOf(path) {
  const rows = readFileSync(path, "utf8").trim().split("\n").slice(1);
  return rows.map((row) => row.trim().split(/\s+/));
}

/** All processes below this one, but for another one (Linux). */
function childrenOf(pid, except) {
  const parents = new Map();
  for (const name of list("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      // The command's name, in brackets, may hold anything.
      const fields = readFileSync(`/proc/${name}/stat`, "utf8").split(") ").at(-1).split(" ");
      parents.set(Number(name), Number(fields[1]));
    } catch {
      // Gone meanwhile.
    }
  }
  const below = new Set([pid]);
  for (let size = 0; size !== below.size; ) {
    size = below.size;
    for (const [child, parent] of parents) if (below.has(parent)) below.add(child);
  }
  below.delete(pid);
  below.delete(except);
  return [...below];
}

function list(path) {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function link(path) {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
