// A fragmented film as HLS has it (RFC 8216): an initialisation segment, one media segment a fragment, and a playlist.

/** Files by name: `init.mp4`, `0.m4s` and so on, `index.m3u8`. `address(name)` is what the playlist calls a file. */
export function hlsFiles(film, address = (name) => name) {
  const parts = [...boxes(film)];
  const first = parts.findIndex(({ type }) => type === "moof");
  const init = film.subarray(0, parts[first].start);
  const { track, timescale } = videoOf(find(init, ["moov"]));
  const files = { "init.mp4": init };
  // The last fragment may hold nothing but the end of the sound: it goes with the one before.
  const begins = ({ type, start, end }) => type === "moof" && trafOf(film.subarray(start, end), track) !== undefined;
  const times = [];
  for (let at = first; at < parts.length; at++) {
    if (!begins(parts[at])) continue;
    let end = at + 1;
    while (end < parts.length && parts[end].type !== "mfra" && !begins(parts[end])) end += 1;
    const fragment = film.subarray(parts[at].start, parts[end - 1].end);
    const { time, duration } = timesOf(fragment, track);
    files[`${times.length}.m4s`] = fragment;
    times.push({ start: time / timescale, seconds: duration / timescale });
  }
  const seconds = times.map(({ start, seconds }, at) => (at + 1 < times.length ? times[at + 1].start - start : seconds));
  files["index.m3u8"] = [
    "#EXTM3U",
    "#EXT-X-VERSION:7",
    `#EXT-X-TARGETDURATION:${Math.ceil(Math.max(...seconds))}`,
    "#EXT-X-PLAYLIST-TYPE:VOD",
    `#EXT-X-MAP:URI="${address("init.mp4")}"`,
    ...seconds.flatMap((seconds, at) => [`#EXTINF:${seconds.toFixed(6)},`, address(`${at}.m4s`)]),
    "#EXT-X-ENDLIST",
    "",
  ].join("\n");
  return files;
}

function* boxes(bytes, from = 0, to = bytes.length) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let start = from; start < to; ) {
    let size = view.getUint32(start);
    if (size === 1) size = Number(view.getBigUint64(start + 8));
    const type = String.fromCharCode(...bytes.subarray(start + 4, start + 8));
    yield { type, start, body: start + 8, end: start + size };
    start += size;
  }
}

/** The first box below these; null where there is none. */
function find(bytes, path) {
  let inner = bytes;
  for (const type of path) {
    const box = [...boxes(inner)].find((box) => box.type === type);
    if (!box) return null;
    inner = inner.subarray(box.body, box.end);
  }
  return inner;
}

function all(bytes, type) {
  return [...boxes(bytes)].filter((box) => box.type === type).map(({ body, end }) => bytes.subarray(body, end));
}

const u32 = (bytes, at) => new DataView(bytes.buffer, bytes.byteOffset).getUint32(at);

function videoOf(moov) {
  const trak = all(moov, "trak").find((trak) => String.fromCharCode(...find(trak, ["mdia", "hdlr"]).subarray(8, 12)) === "vide");
  const [tkhd, mdhd] = [find(trak, ["tkhd"]), find(trak, ["mdia", "mdhd"])];
  return { track: u32(tkhd, tkhd[0] === 1 ? 20 : 12), timescale: u32(mdhd, mdhd[0] === 1 ? 20 : 12) };
}

function trafOf(fragment, track) {
  return all(find(fragment, ["moof"]), "traf").find((traf) => u32(find(traf, ["tfhd"]), 4) === track);
}

/** When a fragment's track begins, and how long it lasts, in the track's own units. */
function timesOf(fragment, track) {
  const traf = trafOf(fragment, track);
  const [tfhd, tfdt] = [find(traf, ["tfhd"]), find(traf, ["tfdt"])];
  const view = new DataView(tfdt.buffer, tfdt.byteOffset);
  const time = tfdt[0] === 1 ? Number(view.getBigUint64(4)) : view.getUint32(4);
  const flags = u32(tfhd, 0) & 0xffffff;
  const perSample = flags & 8 ? u32(tfhd, 8 + (flags & 1 ? 8 : 0) + (flags & 2 ? 4 : 0)) : 0;
  let duration = 0;
  for (const trun of all(traf, "trun")) {
    const flags = u32(trun, 0) & 0xffffff;
    const sampleBytes = [0x100, 0x200, 0x400, 0x800].filter((flag) => flags & flag).length * 4;
    let at = 8 + (flags & 1 ? 4 : 0) + (flags & 4 ? 4 : 0);
    for (let left = u32(trun, 4); left > 0; left--, at += sampleBytes) duration += flags & 0x100 ? u32(trun, at) : perSample;
  }
  return { time, duration };
}
