// What every part of the benchmark needs: a stage with a lab around it, tabs on links, bare channels, and times.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Stage } from "../../tests/browser/harness.mjs";
import { Lab } from "../../tests/lab/lab.mjs";

export const HERE = dirname(fileURLToPath(import.meta.url));
export const MIB = 1 << 20;
export const SYMBOL_BYTES = 16 << 10;

/** 40 ms there and back, this share of the packets lost each way: half of the delay on each sender's side. */
export const lossy = (loss) => ({ up: { delay_ms: 20, loss } });

export class Scene {
  /** `relay`, `flags`: as in `Stage.open`. `links`: the relay's own. */
  static async open({ relay = {}, links = {}, pages = [HERE], seed = 1, flags = [] } = {}) {
    const scene = new Scene();
    scene.lab = await Lab.start({ seed });
    try {
      // Tabs reach the relay through gates of the lab, which have ports of their own.
      const settings = { hosts: "*", ...relay.settings };
      scene.stage = await Stage.open({ relay: { ...relay, settings }, pages, flags });
      await scene.lab.endpoint("relay", links);
    } catch (error) {
      await scene.close();
      throw error;
    }
    return scene;
  }

  /** A tab on these links, and its peer unless `options` is null. `context`: as in `Stage.tab`. */
  async tab(name, links, options = {}, context = null) {
    await this.lab.endpoint(name, links);
    const tab = await this.stage.tab({ context });
    tab.name = name;
    tab.relayUrl = await this.lab.gate(name, "relay", this.stage.relay.url);
    if (options) await tab.create({ relay: tab.relayUrl, ...options });
    return tab;
  }

  /** Two tabs on these links with an open bare channel between them: who sends, who receives. */
  async channel(names, links, options = {}) {
    const tabs = [];
    for (const name of names) {
      const tab = await this.tab(name, links, null);
      await load(tab, "channel");
      await tab.run((options) => channel.open(options), options);
      tabs.push(tab);
    }
    const [a, b] = tabs;
    const offer = await this.lab.rewrite(names[0], names[1], await a.run(() => channel.describe()));
    const answer = await this.lab.rewrite(names[1], names[0], await b.run((offer) => channel.describe(offer), offer));
    await a.run((answer) => channel.accept(answer), answer);
    for (const tab of tabs) await tab.run(() => channel.opened());
    return tabs;
  }

  async close() {
    await this.stage?.close();
    await this.lab?.stop();
  }
}

/** One of this folder's modules as a global of its name. */
export function load(tab, name) {
  return tab.page.evaluate(`import("/${name}.mjs").then((module) => void (window.${name} = module))`);
}

/** Closes tabs with their stores. */
export async function done(...tabs) {
  for (const tab of tabs) await tab.context.close();
}

/** Milliseconds until a tab has all of a link, which must be `length` bytes. */
export async function timed(tab, link, length, secondsMax = 120) {
  const { bytes, lastByteMs } = await within(secondsMax, tab.fetch(link));
  if (bytes !== length) throw new Error(`${bytes} of ${length} bytes arrived`);
  return lastByteMs;
}

export function within(seconds, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${seconds} s`)), seconds * 1000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** The value below which `share` of them lie, between two neighbours by their distance. */
export function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * share;
  const low = sorted[Math.floor(at)];
  return low + (sorted[Math.ceil(at)] - low) * (at % 1);
}

export const median = (values) => quantile(values, 0.5);

export const mbit = (bytesPerSecond) => (bytesPerSecond * 8) / 1e6;

/** Datagrams that the kernel dropped at full sockets, of all programs here (Linux); 0 where that is not told. */
export function kernelDrops() {
  try {
    const rows = ["udp", "udp6"].flatMap((name) => readFileSync(`/proc/net/${name}`, "utf8").trim().split("\n").slice(1));
    return rows.reduce((sum, row) => sum + Number(row.trim().split(/\s+/).at(-1)), 0);
  } catch {
    return 0;
  }
}

export const file = (...parts) => join(HERE, ...parts);
