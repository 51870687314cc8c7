// Part `clean`: loopback without a lab; what all the machinery costs where nothing is wrong, beside a bare channel.
import { Stage } from "../../tests/browser/harness.mjs";
import { HERE, MIB, SYMBOL_BYTES, done, load, mbit, median, timed, within } from "./scene.mjs";

export async function clean({ rounds, quick, figures, row, say }) {
  const length = (quick ? 32 : 50) * MIB;
  const stage = await Stage.open({ pages: [HERE] });
  const samples = { bare: [], sdk: [] };
  try {
    const seeder = await stage.tab();
    await seeder.create();
    const { link } = await seeder.publish({ seed: 5, length });
    const small = await seeder.publish({ seed: 6, length: 64 << 10, name: "small.bin" });
    for (let round = 1; round <= rounds; round++) {
      say(`clean loopback, round ${round} of ${rounds}`);
      const turns = [
        async () => samples.bare.push(await bare(stage, length)),
        async () => {
          // Connected before, as the bare channel is.
          const tab = await stage.tab();
          await tab.create({ tuning: { http: false } });
          await timed(tab, small.link, 64 << 10);
          samples.sdk.push(await timed(tab, link, length));
          await done(tab);
        },
      ];
      if (round % 2) turns.reverse();
      for (const turn of turns) await turn();
    }
  } finally {
    await stage.close();
  }
  const rate = (ms) => mbit((length * 1000) / ms);
  row("clean loopback, bare channel", rate(median(samples.bare)), "Mbit/s");
  row("clean loopback, PeerEdge", rate(median(samples.sdk)), "Mbit/s");
  figures.clean_over_raw = median(samples.bare.map((ms, n) => ms / samples.sdk[n]));
}

async function bare(stage, length) {
  const [a, b] = [await stage.tab(), await stage.tab()];
  for (const tab of [a, b]) {
    await load(tab, "channel");
    await tab.run(() => channel.open());
  }
  const offer = await a.run(() => channel.describe());
  await a.run((answer) => channel.accept(answer), await b.run((offer) => channel.describe(offer), offer));
  for (const tab of [a, b]) await tab.run(() => channel.opened());
  await a.run(([length, bytes]) => channel.serve(length, bytes), [length, SYMBOL_BYTES]);
  const ms = await within(120, b.run((length) => channel.receive(length), length));
  await done(a, b);
  return ms;
}
