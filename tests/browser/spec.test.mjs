// The WebAssembly spec testsuite before and after the rewrite, in this Chromium; task-runner/tests/spec.rs is the same in wasmtime.
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { CACHE } from "../../scripts/lib/run.mjs";
import { Stage } from "./harness.mjs";

let stage;
afterAll(() => stage?.close());

test("every assertion of the spec testsuite has the same outcome after the rewrite", async () => {
  stage = await Stage.open({ relay: false, pages: join(CACHE, "spec") });
  const tab = await stage.tab();
  // As text: the test runner rewrites imports that it sees.
  const found = await tab.run(`(async () => {
    const { spec } = await import("/spec.mjs");
    return spec(await (await fetch("/suite.json")).json());
  })()`);
  console.log(`${found.same} assertions the same, ${found.leftOut} left out`);
  expect(found.differ.slice(0, 20)).toEqual([]);
  expect(found.same).toBeGreaterThan(60_000);
});
