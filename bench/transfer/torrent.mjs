// Runs in a page: a WebTorrent peer on the benchmark's own tracker, without any server on the internet.
import WebTorrent from "/node_modules/webtorrent/dist/webtorrent.min.js";
import { randomBlob } from "/random.mjs";

let client = null;
let tracker = null;

export function create(announce) {
  tracker = announce;
  client = new WebTorrent({ dht: false, lsd: false, tracker: { rtcConfig: { iceServers: [] } } });
}

export function seed({ seed, length }) {
  const file = new File([randomBlob(seed, length)], "random.bin");
  return new Promise((resolve, reject) => {
    client.on("error", reject);
    client.seed(file, { announce: [tracker] }, (torrent) => resolve(torrent.magnetURI));
  });
}

/** Milliseconds until all of it has arrived and was verified. */
export function fetch(magnet) {
  const began = performance.now();
  return new Promise((resolve, reject) => {
    client.on("error", reject);
    client.add(magnet, { announce: [tracker] }, (torrent) => {
      const done = () => resolve({ lastByteMs: performance.now() - began, bytes: torrent.length });
      if (torrent.done) done();
      else torrent.on("done", done);
    });
  });
}
