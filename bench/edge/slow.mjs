// Part `slow`: three senders with an uplink of 1 MB/s each; one of them slows to a tenth, stops without a word, or leaves. Beside the
// two others alone, WebTorrent, and p2p-media-loader with the same senders on the same links.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { run as command, say } from "../../scripts/lib/run.mjs";
import { HERE, MIB, Scene, done, load, median, sleep, timed, within } from "./scene.mjs";
import { Media } from "./media.mjs";

const TRANSFER = join(HERE, "../transfer");
const UP = { bytes_per_s: 1_000_000, delay_ms: 10 };
const LINKS = { up: UP, down: { delay_ms: 10 } };
/** When it happens, after the first byte or half a second. */
const AFTER_MS = 1_000;
const SECONDS_MAX = 150;

/** What happens to the first sender. */
const MISHAPS = {
  slow: (scene, tab) => scene.lab.endpoint(tab.name, { up: { ...UP, bytes_per_s: UP.bytes_per_s / 10 } }),
  stopped: (scene, tab) => scene.lab.endpoint(tab.name, { up: { loss: 1 }, down: { loss: 1 } }),
  left: (_, tab) => tab.close(),
};

export async function slow({ rounds, quick, figures, row, say }) {
  if (!existsSync(join(TRANSFER, "node_modules/webtorrent"))) {
    say("installing WebTorrent, to compare with …");
    await command("npm", ["ci", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: TRANSFER });
  }
  const length = (quick ? 16 : 24) * MIB;
  const media = await Media.prepare();
  const scene = await Scene.open({ pages: [HERE, TRANSFER] });
  const { default: Server } = await import(pathToFileURL(join(TRANSFER, "node_modules/bittorrent-tracker/server.js")));
  const tracker = new Server({ udp: false, http: false, ws: true, stats: false });
  await new Promise((resolve) => tracker.listen(0, "127.0.0.1", resolve));
  const trackerUrl = `http://127.0.0.1:${tracker.ws.address().port}`;
  await scene.lab.endpoint("tracker");
  const samples = { alone: [], slow: [], stopped: [], left: [], torrent: [], media: [] };
  try {
    for (let round = 1; round <= rounds; round++) {
      say(`slow senders, round ${round} of ${rounds}`);
      samples.alone.push(await ours(scene, `alone ${round}`, 2, null, length, round));
      for (const mishap of Object.keys(MISHAPS)) {
        samples[mishap].push(await ours(scene, `${mishap} ${round}`, 3, MISHAPS[mishap], length, round));
      }
      samples.torrent.push(await torrented(scene, `torrent ${round}`, trackerUrl, length, round));
      if (media) samples.media.push(await media.run(scene, `media ${round}`, { trackerUrl, length, links: LINKS, mishap: MISHAPS.slow, afterMs: AFTER_MS }));
    }
  } finally {
    await scene.close();
    await new Promise((resolve) => tracker.close(resolve));
  }
  const seconds = (name) => median(samples[name]) / 1000;
  row("two senders alone", seconds("alone"), "s");
  row("and a third that slows to a tenth", seconds("slow"), "s");
  row("and a third that stops without a word", seconds("stopped"), "s");
  row("and a third that leaves", seconds("left"), "s");
  row("WebTorrent, with one that slows to a tenth", seconds("torrent"), "s");
  const over = (name, other) => median(samples[name].map((ms, n) => ms / samples[other][n]));
  for (const mishap of Object.keys(MISHAPS)) figures[`${mishap}_sender_over_others_alone`] = over(mishap, "alone");
  figures.time_over_webtorrent_slow_sender = over("slow", "torrent");
  if (media) {
    row("p2p-media-loader, with one that slows to a tenth", seconds("media"), "s");
    figures.time_over_p2pml_slow_sender = over("slow", "media");
  } else say("p2p-media-loader is skipped: it could not be installed");
}

async function ours(scene, name, count, mishap, length, seed) {
  const tabs = [];
  let link;
  for (let n = 0; n < count; n++) {
    const tab = await scene.tab(`${name} ${n}`, LINKS);
    ({ link } = await tab.publish({ seed, length }));
    tabs.push(tab);
  }
  const receiver = await scene.tab(`${name} receiver`, LINKS, { tuning: { http: false } });
  const result = timed(receiver, link, length, SECONDS_MAX);
  if (mishap) {
    await sleep(AFTER_MS);
    await mishap(scene, tabs[0]);
  }
  const ms = await result;
  if (process.env.BENCH_LOG) {
    const { peers, connectionsMade, duplicateBytes } = await receiver.stats();
    console.log(name, ms, connectionsMade, duplicateBytes / length, JSON.stringify(peers.map((p) => [p.connections, p.receivedBytes, p.downBytesPerSecond])), JSON.stringify(await scene.lab.counts(`${name} 1`)));
  }
  await done(receiver, ...tabs);
  return ms;
}

async function torrented(scene, name, trackerUrl, length, seed) {
  const open = async (who) => {
    const tab = await scene.tab(`${name} ${who}`, LINKS, null);
    await load(tab, "torrent");
    const announce = (await scene.lab.gate(tab.name, "tracker", trackerUrl)).replace("http:", "ws:");
    await tab.run((announce) => torrent.create(announce), announce);
    return tab;
  };
  const tabs = [];
  let magnet;
  for (let n = 0; n < 3; n++) {
    const tab = await open(n);
    magnet = await tab.run((options) => torrent.seed(options), { seed, length });
    tabs.push(tab);
  }
  const receiver = await open("receiver");
  // Its tracker's address is in the magnet link: the receiver goes through its own gate.
  const result = within(SECONDS_MAX, receiver.run((magnet) => torrent.fetch(magnet), magnet.replace(/&tr=[^&]*/g, "")));
  await sleep(AFTER_MS);
  await MISHAPS.slow(scene, tabs[0]);
  const { lastByteMs, bytes } = await result;
  if (bytes !== length) throw new Error(`${bytes} of ${length} bytes arrived`);
  await done(receiver, ...tabs);
  return lastByteMs;
}
