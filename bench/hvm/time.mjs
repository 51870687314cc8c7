/** Times the exports of two modules, each run in a fresh instance, in turn: the best of each, and the gas of the second. */
export function time(both, work, rounds) {
  let began;
  const since = () => performance.now() - began;
  const compile_ms = [];
  const modules = both.map((bytes) => {
    began = performance.now();
    const module = new WebAssembly.Module(bytes);
    compile_ms.push(since());
    return module;
  });
  const instantiate_ms = modules.map((module) => {
    began = performance.now();
    for (let n = 0; n < 20; n++) new WebAssembly.Instance(module);
    return since() / 20;
  });
  const times = { compile_ms, instantiate_ms };
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
        const ms = since();
        if (round >= 0) best[side] = Math.min(best[side], ms);
        if (left) gas = (1n << 60n) - left.value;
      });
    }
    if (results[0] !== results[1]) throw new Error(`${name}: ${results[0]} as it is, ${results[1]} rewritten`);
    times[name] = { original_ms: best[0], rewritten_ms: best[1], gas: String(gas) };
  }
  return times;
}
