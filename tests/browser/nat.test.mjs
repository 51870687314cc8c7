// Peers behind address translators of both kinds: a direct path where there is one, the relay where there is none, and a change of
// address in the middle.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findChromium } from "../../scripts/lib/chromium.mjs";
import { MIB, eventually, publishedLink } from "./flows/flow.mjs";
import { Tab, launchChromium, packedPackage, temporaryFolder } from "./harness.mjs";
import { randomBytes } from "./random.mjs";
import { PEEREDGE, Relay } from "./relay.mjs";
import { INTERNET, Networks, inNamespace, namespaces, whyNoNamespaces } from "./translators.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const missing = whyNoNamespaces();
if (missing) console.log(`paths through address translators are not tested: ${missing}`);

let networks, relay, closing;
beforeEach(() => {
  closing = [];
  networks = missing ? null : new Networks();
});
afterEach(async () => {
  for (const close of closing.reverse()) await close();
  await relay?.stop();
  networks?.close();
});

async function startRelay(options = {}) {
  const demo = temporaryFolder("pages");
  for (const name of ["blank.html", "page.mjs", "random.mjs"]) cpSync(join(HERE, name), join(demo, name));
  cpSync(packedPackage(), join(demo, "peeredge"), { recursive: true });
  const { settings = {}, ...rest } = options;
  relay = await Relay.start({ host: INTERNET, namespace: networks.internet, port: 8080, settings: { demo_dir: demo, metrics: "all", ...settings }, ...rest });
}

const carried = () => relay.metric("peeredge_carried_bytes_total");

test.skipIf(missing)("what a run that was killed has left is in nobody's way", async () => {
  networks.close();
  const made = `const { Networks } = await import(${JSON.stringify(join(HERE, "translators.mjs"))}); new Networks().home(1, "keeps"); console.log("made"); setInterval(() => {}, 1000);`;
  const killed = spawn(process.execPath, ["--input-type=module", "-e", made], { stdio: ["ignore", "pipe", "inherit"] });
  await once(killed.stdout, "data");
  const left = namespaces();
  expect(left).toHaveLength(3);
  killed.kill("SIGKILL");
  await once(killed, "exit");
  networks = new Networks();
  expect(namespaces()).toEqual([networks.internet]);
  await startRelay();
});

describe.skipIf(missing)("native peers", () => {
  const LENGTH = 4 * MIB;

  /** `peeredge get` in a home. */
  function get(home, words) {
    const child = spawn("ip", ["netns", "exec", home, PEEREDGE, "get", "--quiet", ...words], { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr.on("data", (bytes) => (said += bytes));
    const ended = new Promise((resolve) => child.on("exit", (code) => resolve({ code, said })));
    closing.push(() => {
      child.kill("SIGKILL");
      return ended;
    });
    return { child, ended };
  }

  /** A seeder in one home gives a file to a receiver in another one; the relay itself has it no more. */
  async function exchange(kind) {
    const [a, b] = [networks.home(1, kind), networks.home(2, kind)];
    const folder = temporaryFolder("get");
    const bytes = Buffer.from(randomBytes(11, LENGTH));
    writeFileSync(join(folder, "file.bin"), bytes);
    await startRelay({ publish: [join(folder, "file.bin")] });
    const link = await publishedLink(relay);
    get(a, [link, "--seed", "-o", join(folder, "a.bin")]);
    await eventually(() => existsSync(join(folder, "a.bin")) && statSync(join(folder, "a.bin")).size === LENGTH, "the seeder has it");
    await relay.stop();
    await startRelay();
    const { ended } = get(b, [link, "--no-http", "-o", join(folder, "b.bin")]);
    expect(await ended).toMatchObject({ code: 0 });
    expect(readFileSync(join(folder, "b.bin")).equals(bytes)).toBe(true);
  }

  test("behind translators that keep a port they meet directly, by the address that the relay tells them", async () => {
    await exchange("keeps");
    expect(await carried()).toBe(0);
  });

  test("behind symmetric translators their symbols pass through the relay", async () => {
    await exchange("symmetric");
    expect(await carried()).toBeGreaterThan(LENGTH);
  });
});

describe.skipIf(missing)("tabs", () => {
  const LENGTH = 4 * MIB;

  /** A tab in a home, which notes the candidates that it shows. */
  async function tabIn(home) {
    const browser = await launchChromium({ executablePath: inNamespace(home, findChromium()) });
    closing.push(() => browser.close());
    const context = await browser.newContext();
    await context.addInitScript(() => {
      window.candidates = [];
      window.RTCPeerConnection = class extends RTCPeerConnection {
        constructor(...words) {
          super(...words);
          this.addEventListener("icecandidate", ({ candidate }) => candidate?.candidate && window.candidates.push(candidate.candidate));
        }
      };
    });
    return Tab.open({ relay }, context, `${relay.url}/blank.html`);
  }

  async function pair(kinds, options = [{}, {}], peers = [{}, {}]) {
    const homes = kinds.map((kind, at) => networks.home(at + 1, kind));
    await startRelay(...options);
    const tabs = [await tabIn(homes[0]), await tabIn(homes[1])];
    for (const [at, tab] of tabs.entries()) await tab.create(peers[at]);
    return tabs;
  }

  const candidates = (tab) => tab.run(() => window.candidates);

  test("behind translators that keep a port they meet directly, by the address that the relay tells them", async () => {
    const [a, b] = await pair(["keeps", "keeps"]);
    const { link } = await a.publish({ seed: 5, length: LENGTH });
    expect(await b.fetch(link, { seed: 5 })).toMatchObject({ bytes: LENGTH });
    expect(await b.stats()).toMatchObject({ fromPeersBytes: LENGTH, throughRelayBytes: 0 });
    expect(await carried()).toBe(0);
    const shown = await candidates(b);
    expect(shown.some((candidate) => / 198\.51\.100\.3 \d+ typ srflx /.test(candidate)), shown.join("\n")).toBe(true);
  });

  test("behind symmetric translators their symbols pass through the relay", async () => {
    const [a, b] = await pair(["symmetric", "symmetric"]);
    const { link } = await a.publish({ seed: 6, length: LENGTH });
    expect(await b.fetch(link, { seed: 6 })).toMatchObject({ bytes: LENGTH });
    const stats = await b.stats();
    expect(stats.fromPeersBytes).toBe(LENGTH);
    expect(stats.throughRelayBytes).toBeGreaterThan(LENGTH);
    expect(stats.peers.filter((peer) => peer.open && !peer.isRelay)).toMatchObject([{ throughRelay: true }]);
  });

  for (const [what, change] of [
    ["its router gets another address and forgets its translations", () => networks.rebind(2)],
    ["its machine moves to another network", () => networks.move(2, 3)],
  ]) {
    test(`a transfer goes on when ${what}`, async () => {
      networks.home(3, "keeps");
      const [a, b] = await pair(["keeps", "keeps"], [{}], [{ caps: { uploadBytesPerSecond: 1_000_000 } }, { tuning: { giveUpAfterMs: 150_000 } }]);
      const { link } = await a.publish({ seed: 7, length: 8 * MIB });
      const fetch = await b.start(link, { seed: 7 });
      await b.reach(fetch, 2 * MIB);
      change();
      expect(await b.finished(fetch)).toMatchObject({ bytes: 8 * MIB });
      expect((await b.stats()).fromPeersBytes).toBe(8 * MIB);
    });
  }
});
