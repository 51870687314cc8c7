// Runs in a page: p2p-media-loader's core with one stream of equal segments, as an engine for a player would drive it.
import { Core } from "/node_modules/p2p-media-loader-core/dist/p2p-media-loader-core.es.js";

const SEGMENT_SECONDS = 4;

let core = null;
let segments = [];

export function open({ announce, origin, length, segmentBytes, swarm }) {
  core = new Core({
    announceTrackers: [announce],
    rtcConfig: { iceServers: [] },
    swarmId: swarm,
    // All of it at once, as a download wants it.
    p2pDownloadTimeWindow: 1e6,
    highDemandTimeWindow: 15,
  });
  core.setManifestResponseUrl(`${origin}/main.m3u8`);
  core.addStreamIfNoneExists({ runtimeId: "main", type: "main", index: "0" });
  segments = Array.from({ length: Math.ceil(length / segmentBytes) }, (_, n) => ({
    runtimeId: String(n),
    externalId: n,
    url: `${origin}/video.mp4`,
    byteRange: { start: n * segmentBytes, end: Math.min((n + 1) * segmentBytes, length) - 1 },
    startTime: n * SEGMENT_SECONDS,
    endTime: (n + 1) * SEGMENT_SECONDS,
  }));
  core.updateStream("main", segments);
}

/** Milliseconds and bytes of all segments, asked for one after the other; what is ahead its core fetches by itself. */
export async function loadAll({ peersOnly = false } = {}) {
  // A receiver without a server has no use for trying one; its default would fail segments by it.
  if (peersOnly) core.applyDynamicConfig({ simultaneousHttpDownloads: 0, simultaneousP2PDownloads: 6 });
  const began = performance.now();
  let bytes = 0;
  for (const segment of segments) {
    core.updatePlayback(segment.startTime, 1);
    bytes += await loadOne(segment);
  }
  return { ms: performance.now() - began, bytes };
}

async function loadOne(segment) {
  for (;;) {
    const loaded = await new Promise((resolve) => {
      const failed = () => resolve(null);
      core.loadSegment(segment.runtimeId, { onSuccess: ({ data }) => resolve(data.byteLength), onError: failed }).catch(failed);
    });
    if (loaded !== null) return loaded;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
