// Part `small`: four senders, connected before, and one file of 1 MiB after the other: the end of a transfer is all there is of it.
import { MIB, Scene, done, lossy, median, quantile, timed } from "./scene.mjs";

const FILES = 24;
const SENDERS = 4;

export async function small({ rounds, quick, figures, row, say }) {
  for (const share of [0, 0.01, 0.03]) {
    const samples = { p50: [], p90: [], twice: [] };
    for (let round = 1; round <= rounds; round++) {
      say(`small files, ${share * 100} % loss, round ${round} of ${rounds}`);
      const { times, twice } = await fetchAll(lossy(share), quick ? FILES / 2 : FILES, round);
      samples.p50.push(quantile(times, 0.5));
      samples.p90.push(quantile(times, 0.9));
      samples.twice.push(twice);
    }
    const note = `${median(samples.p90).toFixed(0)} ms in the slowest tenth, ${(median(samples.twice) * 100).toFixed(0)} % twice`;
    row(`1 MiB from four senders, ${share * 100} % loss`, median(samples.p50), "ms", note);
    figures[`small_ms_loss${share * 100}`] = median(samples.p50);
  }
}

/** Milliseconds of each file but the first, with which the peers meet; and the share of bytes that came twice. */
async function fetchAll(links, files, round) {
  const scene = await Scene.open();
  try {
    const senders = [];
    for (let n = 0; n < SENDERS; n++) senders.push(await scene.tab(`small ${n}`, links));
    const published = [];
    for (let n = 0; n < files; n++) {
      for (const sender of senders) published[n] = (await sender.publish({ seed: round * 100 + n, length: MIB })).link;
    }
    const receiver = await scene.tab("small receiver", links, { tuning: { http: false } });
    const times = [];
    for (const link of published) times.push(await timed(receiver, link, MIB));
    const { duplicateBytes } = await receiver.stats();
    await done(receiver, ...senders);
    return { times: times.slice(1), twice: duplicateBytes / (files * MIB) };
  } finally {
    await scene.close();
  }
}
