// npm run bench -- attacks: runs every attack of the test suite in a release build, with time measured, and prints what each spent
// and what its victims lost. The last line is one JSON object.
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { CACHE, ROOT, Stop, run } from "../../scripts/lib/run.mjs";

const FILE = join(CACHE, "attacks.txt");
/** The crates' tests that play strangers. */
const TARGETS = ["attacks*", "liars", "live"];
/** What the suite promises: at most these, over all attacks. */
const BOUNDS = {
  addresses_an_hour: 60,
  byte_amplification: 2,
  cpu_amplification: 10,
  memory_bytes: 1 << 20,
  good_client_p99_ratio: 2,
};

const env = { ...process.env, ATTACKS_MEASURE: "1", ATTACKS_FILE: FILE };
mkdirSync(CACHE, { recursive: true });
rmSync(FILE, { force: true });

const attacks = [];
const failures = [];
if (!(await collect("cargo", ["test", "--release", "--workspace", "--no-fail-fast", ...TARGETS.flatMap((name) => ["--test", name]), "--", "--nocapture", "--test-threads=1"]))) {
  failures.push("crates");
}
// What is attacked in browsers is the release: `VITEST` chooses the debug build, so the path is said.
const vitest = [join(ROOT, "node_modules/vitest/vitest.mjs"), "run", "--project", "attacks", "--reporter=dot"];
await run(process.execPath, vitest, { env: { ...env, ATTACKS_RELEASED: "1" } }).catch(() => failures.push("relay and pages"));
try {
  readFileSync(FILE, "utf8").split("\n").forEach(take);
} catch {
  throw new Stop("no attack on the relay or a page has run");
}
report();

/** Runs a command, shows what it says but for the attacks, which are kept. Gives whether it succeeded. */
function collect(command, args) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"], env });
    let rest = "";
    child.stdout.on("data", (bytes) => {
      const lines = (rest + bytes).split("\n");
      rest = lines.pop();
      lines.forEach(take);
    });
    child.on("error", () => resolve(false));
    child.on("close", (code) => resolve(code === 0));
  });
}

function take(line) {
  // The test runner may have begun the line.
  const at = line.indexOf("attack {");
  if (at >= 0) attacks.push(JSON.parse(line.slice(at + 7)));
}

function report() {
  const worst = Object.fromEntries(Object.keys(BOUNDS).map((name) => [name, null]));
  attacks.sort((a, b) => a.room.localeCompare(b.room) || a.kind.localeCompare(b.kind));
  console.log("");
  for (const { room, kind, name, spent, lost, held, figures } of attacks) {
    const measured = Object.entries(figures).map(([figure, value]) => `${figure} ${Number(value.toPrecision(3))}`);
    console.log(`${held ? "held" : "OPEN"}  ${room}, ${kind}: ${name}`);
    console.log(`      spent: ${spent}; lost: ${lost}${measured.length ? `; ${measured.join(", ")}` : ""}`);
    for (const [figure, value] of Object.entries(figures)) {
      if (worst[figure] === null || value > worst[figure].value) worst[figure] = { value, name: `${room}: ${name}` };
    }
  }
  console.log("");
  for (const [figure, bound] of Object.entries(BOUNDS)) {
    const found = worst[figure];
    console.log(`  ${figure.padEnd(24)}${found ? `${Number(found.value.toPrecision(4))} of at most ${bound} (${found.name})` : "not measured"}`);
  }
  const value = (figure) => worst[figure] && Number(worst[figure].value.toPrecision(4));
  const figures = {
    attacks_tried: attacks.length,
    attacks_open: attacks.filter((attack) => !attack.held).length,
    addresses_an_hour: value("addresses_an_hour"),
    byte_amplification_worst: value("byte_amplification"),
    cpu_amplification_worst: value("cpu_amplification"),
    memory_a_stranger_worst_bytes: value("memory_bytes"),
    good_client_p99_ratio_worst: value("good_client_p99_ratio"),
  };
  if (failures.length) console.log(`\nsome tests failed: ${failures.join(", ")}`);
  console.log(`\n${JSON.stringify({ bench: "attacks", figures })}`);
  if (failures.length || figures.attacks_open) process.exitCode = 1;
}
