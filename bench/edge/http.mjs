// Part `http`: never slower than plain HTTP. The relay's uplink is the same for both; the peers are as bad as they can be.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../../tests/browser/harness.mjs";
import { randomBytes } from "../../tests/browser/random.mjs";
import { publishedLink } from "../../tests/browser/flows/flow.mjs";
import { MIB, Scene, done, load, median, within } from "./scene.mjs";

const SEED = 31;
const RELAY = { up: { bytes_per_s: 2_000_000, delay_ms: 10 }, down: { delay_ms: 10 } };
const TAB = { up: { delay_ms: 10 }, down: { delay_ms: 10 } };
/** What is wrong with the peers: their links before, and once the transfer runs. */
const SCENARIOS = {
  "no peers": { count: 0 },
  "good peers": { count: 2, links: TAB },
  "peers with 30 % loss": { count: 2, links: { up: { ...TAB.up, loss: 0.3 }, down: { ...TAB.down, loss: 0.3 } } },
  "peers with 20 kB/s": { count: 2, links: { ...TAB, up: { ...TAB.up, bytes_per_s: 20_000 } } },
  "peers that fall silent": { count: 2, links: TAB, then: { up: { loss: 1 } } },
};

export async function http({ rounds, quick, figures, row, say }) {
  const length = (quick ? 12 : 24) * MIB;
  const path = join(temporaryFolder("http"), "random.bin");
  writeFileSync(path, randomBytes(SEED, length));
  const samples = Object.fromEntries(Object.keys(SCENARIOS).map((what) => [what, []]));
  const plain = [];
  const scene = await Scene.open({ relay: { publish: [path] }, links: RELAY });
  try {
    const link = await publishedLink(scene.stage.relay);
    for (let round = 1; round <= rounds; round++) {
      say(`beside plain HTTP, round ${round} of ${rounds}`);
      plain.push(await plainly(scene, `plain ${round}`, link, length));
      for (const [what, scenario] of Object.entries(SCENARIOS)) {
        samples[what].push(await amongPeers(scene, `${what} ${round}`, scenario, link, length));
      }
    }
  } finally {
    await scene.close();
  }
  row("plain HTTP", median(plain) / 1000, "s");
  const ratios = {};
  for (const [what, all] of Object.entries(samples)) {
    const shares = all.at(-1).shares;
    row(`PeerEdge, ${what}`, median(all.map(({ ms }) => ms)) / 1000, "s", shares);
    ratios[what] = median(all.map(({ ms }, n) => ms / plain[n]));
  }
  figures.worst_time_over_http = Math.max(...Object.values(ratios));
}

async function plainly(scene, name, link, length) {
  const tab = await scene.tab(name, TAB, null);
  await load(tab, "play");
  const url = new URL(new URL(link).pathname, tab.relayUrl).href;
  const { ms, bytes } = await within(120, tab.run((url) => play.download(url), url));
  if (bytes !== length) throw new Error(`${bytes} of ${length} bytes arrived`);
  await done(tab);
  return ms;
}

async function amongPeers(scene, name, { count, links, then }, link, length) {
  const tabs = [];
  for (let n = 0; n < count; n++) {
    const tab = await scene.tab(`${name} ${n}`, TAB);
    await tab.publish({ seed: SEED, length });
    await scene.lab.endpoint(`${name} ${n}`, links);
    tabs.push(tab);
  }
  const receiver = await scene.tab(`${name} receiver`, TAB);
  const fetch = await receiver.start(link, { seed: SEED });
  if (then) {
    await receiver.reach(fetch, 1);
    for (let n = 0; n < count; n++) await scene.lab.endpoint(`${name} ${n}`, then);
  }
  const { bytes, lastByteMs } = await within(120, receiver.finished(fetch));
  if (bytes !== length) throw new Error(`${bytes} of ${length} bytes arrived`);
  const stats = await receiver.stats();
  const share = (what, value) => `${what} ${((value / length) * 100).toFixed(0)} %`;
  const shares = [
    share("HTTP", stats.fromHttpBytes),
    share("relay", stats.fromRelayBytes),
    share("peers", stats.fromPeersBytes),
    share("twice", stats.duplicateBytes),
  ].join(", ");
  await done(receiver, ...tabs);
  return { ms: lastByteMs, shares };
}
