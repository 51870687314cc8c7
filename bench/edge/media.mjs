// p2p-media-loader in the same harness: segments of a stream, loaded by its core one after the other as hls.js would.
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { run as command, say } from "../../scripts/lib/run.mjs";
import { randomBytes } from "../../tests/browser/random.mjs";
import { HERE, done, load, sleep, within } from "./scene.mjs";

const SEGMENT_BYTES = 1 << 20;
const SEED = 61;

export class Media {
  /** Null when it cannot be installed. */
  static async prepare() {
    try {
      if (!existsSync(join(HERE, "node_modules/p2p-media-loader-core"))) {
        say("installing p2p-media-loader, to compare with …");
        await command("npm", ["ci", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: HERE });
      }
      return new Media();
    } catch (error) {
      say(`p2p-media-loader: ${error.message}`);
      return null;
    }
  }

  /** Milliseconds until a receiver has all segments from three senders, one of which meets the mishap. */
  async run(scene, name, { trackerUrl, length, links, mishap, afterMs }) {
    const origin = await this.#origin(length);
    const open = async (who) => {
      const tab = await scene.tab(`${name} ${who}`, links, null);
      await load(tab, "loader");
      const announce = (await scene.lab.gate(tab.name, "tracker", trackerUrl)).replace("http:", "ws:");
      await tab.run((options) => loader.open(options), { announce, origin: origin.url, length, segmentBytes: SEGMENT_BYTES, swarm: name });
      return tab;
    };
    try {
      const tabs = [];
      for (let n = 0; n < 3; n++) {
        const tab = await open(n);
        // A sender has seen it all, by plain HTTP.
        await within(120, tab.run(() => loader.loadAll()));
        tabs.push(tab);
      }
      const receiver = await open("receiver");
      origin.serves = false;
      const result = within(150, receiver.run(() => loader.loadAll({ peersOnly: true })));
      await sleep(afterMs);
      await mishap(scene, tabs[0]);
      const { ms, bytes } = await result;
      if (bytes !== length) throw new Error(`${bytes} of ${length} bytes arrived`);
      await done(receiver, ...tabs);
      return ms;
    } finally {
      origin.stop();
    }
  }

  /** An ordinary server with range support, that the senders fill up from. */
  async #origin(length) {
    const body = randomBytes(SEED, length);
    const origin = { serves: true };
    const server = createServer((request, response) => {
      const range = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? "");
      const headers = { "access-control-allow-origin": "*", "access-control-allow-headers": "*", "content-type": "video/mp4" };
      if (request.method === "OPTIONS") return response.writeHead(204, headers).end();
      if (!origin.serves) return response.writeHead(503, headers).end();
      if (!range) return response.writeHead(200, headers).end(body);
      const [from, to] = [Number(range[1]), Math.min(Number(range[2]), length - 1)];
      response.writeHead(206, { ...headers, "content-range": `bytes ${from}-${to}/${length}`, "content-length": to - from + 1 });
      response.end(body.subarray(from, to + 1));
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    origin.url = `http://127.0.0.1:${server.address().port}`;
    origin.stop = () => {
      server.closeAllConnections();
      server.close();
    };
    return origin;
  }
}
