/** Times the exports of two modules, each run in a fresh instance, in turn: the best of each, and the gas of the second. */
export function time(both, work, rounds) {
  const modules = both.map((bytes) => new WebAssembly.Module(bytes));
  let began = performance.now();
  for (let n = 0; n < 20; n++) new WebAssembly.Instance(modules[1]);
  const times = { instantiate_ms: (performance.now() - began) / 20 };
  for (const [name, n] of Object.entries(work)) {
    const best = [Infinity, Infinity];
    const results = [];
    let gas;
    // The first rounds are those in which the engine still decides what to optimise.
    for (let round = -3; round < rounds; round++) {
      modules.forEach((module, side) => {
        const { exports } = new WebAssembly.Instance(module);
        const left = exports["peeredge:gas"];
        if (left) left.value = 1n << 60n;
        began = performance.now();
        results[side] = exports[name](n);
        const ms = performance.now() - began;
        if (round >= 0) best[side] = Math.min(best[side], ms);
        if (left) gas = (1n << 60n) - left.value;
      });
    }
    if (results[0] !== results[1]) throw new Error(`${name}: ${results[0]} as it is, ${results[1]} rewritten`);
    times[name] = { original_ms: best[0], rewritten_ms: best[1], gas: String(gas) };
  }
  return times;
}
