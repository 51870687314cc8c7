// npm test [PART...]: sets up what is missing, then runs all tests, or only these parts: rust, wasm, unit, interop, browser, attacks; or
// arm, which is run only when asked for.
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { CACHE, ROOT, Stop, say, verb } from "./lib/run.mjs";
import { packages, rust, sdk, spec, tasks, testedRelay } from "./lib/steps.mjs";
import { chromium } from "./lib/chromium.mjs";

const PARTS = {
  rust: rustTests,
  wasm: () => counted("scripts/wasm-tests.mjs"),
  unit: () => vitest("unit"),
  interop: () => counted("tests/interop/rtc_contract.mjs"),
  browser: () => vitest("browser"),
  attacks: () => vitest("attacks"),
  arm: () => counted("scripts/arm-tests.mjs"),
};
const ASKED_FOR = new Set(["arm"]);
const total = { passed: 0, failed: 0 };
/** What failed, by name: said again at the end, where a log that was cut still shows it. */
const failedTests = [];

verb(async (words) => {
  const unknown = words.find((word) => !(word in PARTS));
  if (unknown) throw new Stop(`${unknown} is no part of the tests; these are: ${Object.keys(PARTS).join(", ")}`);
  const parts = words.length ? words : Object.keys(PARTS).filter((part) => !ASKED_FOR.has(part));
  await packages();
  await rust();
  // Asked for first: without one there is no use in the minutes before.
  if (["interop", "browser", "attacks"].some((part) => parts.includes(part))) await chromium();
  const failures = [];
  for (const part of parts) {
    if (part === "interop" || part === "browser" || part === "attacks") await testedRelay();
    if (part === "browser" || part === "attacks") await tasks();
    if (part === "browser") await spec();
    if (part !== "rust" && part !== "arm") await sdk();
    say(`tests: ${part}`);
    if (!(await PARTS[part]())) failures.push(part);
  }
  const line = `${total.passed} passed, ${total.failed} failed`;
  mkdirSync(CACHE, { recursive: true });
  writeFileSync(join(CACHE, "test-summary"), `${line}\n`);
  if (failures.length) console.error(`\npeeredge: failed: ${failures.join(", ")}`);
  for (const name of failedTests.slice(0, 50)) console.error(`peeredge: failed: ${name}`);
  if (failures.length || total.passed === 0) process.exitCode = 1;
  console.log(line);
});

/** Runs a command whose output is shown and looked through; gives whether it succeeded. */
function tested(command, args, look) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"], env: { ...process.env } });
    let rest = "";
    child.stdout.on("data", (bytes) => {
      process.stdout.write(bytes);
      const lines = (rest + bytes).split("\n");
      rest = lines.pop();
      lines.forEach(look);
    });
    child.on("error", (error) => {
      console.error(`${command} cannot be run: ${error.message}`);
      resolve(false);
    });
    child.on("close", (code) => resolve(code === 0));
  });
}

function countCargo(line) {
  const failed = /^test (.+) \.\.\. FAILED$/.exec(line);
  if (failed) failedTests.push(failed[1]);
  const found = /^test result: .*?(\d+) passed; (\d+) failed/.exec(line);
  if (!found) return;
  total.passed += Number(found[1]);
  total.failed += Number(found[2]);
}

function rustTests() {
  return tested("cargo", ["test", "--workspace", "--no-fail-fast"], countCargo);
}

/** A script that prints `ok NAME`, or `not ok NAME` or `FAILED NAME`, for each thing it checks, and what cargo prints. */
function counted(script) {
  return tested(process.execPath, [join(ROOT, script)], (line) => {
    countCargo(line);
    if (line.startsWith("ok ")) total.passed += 1;
    const failed = /^(?:not ok|FAILED) (.*)/.exec(line);
    if (!failed) return;
    total.failed += 1;
    failedTests.push(failed[1]);
  });
}

async function vitest(project) {
  const report = join(CACHE, `vitest-${project}.json`);
  rmSync(report, { force: true });
  const args = [
    join(ROOT, "node_modules/vitest/vitest.mjs"),
    "run",
    "--project",
    project,
    "--reporter=verbose",
    "--reporter=json",
    `--outputFile.json=${report}`,
  ];
  const passed = await tested(process.execPath, args, () => undefined);
  try {
    const { numPassedTests, numFailedTests, testResults } = JSON.parse(readFileSync(report, "utf8"));
    for (const file of testResults) {
      // A file whose hooks or imports failed has no failed test of its own.
      const tests = file.assertionResults.filter(({ status }) => status === "failed");
      const named = tests.map(({ fullName, failureMessages }) => `${fullName}: ${failureMessages[0]?.split("\n")[0]}`);
      if (file.status === "failed") failedTests.push(...(named.length ? named : [`${relative(ROOT, file.name)}: ${file.message.split("\n")[0]}`]));
    }
    total.passed += numPassedTests;
    total.failed += numFailedTests;
    return passed && numPassedTests > 0;
  } catch {
    total.failed += 1;
    return false;
  }
}
