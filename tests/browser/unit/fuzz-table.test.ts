// What reads strangers' bytes is found by its name: each has a row in tests/fuzz/README.md, and each row a test and targets that are there.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

const ROOT = new URL("../../../", import.meta.url);
const read = (path: string) => readFileSync(new URL(path, ROOT), "utf8");
const RUST = /^\s*(?:pub(?:\([a-z]+\))? )?fn (decode|parse|from_str|from_bytes|rewrite|instrument|answer)\b/gm;
const SCRIPT = /^export function (read\w+|decode\w*|parse\w*|safe\w+|plainName|cleaned|content\w*|\w+Of|\w+In)\(/gm;
/** Of these names, what reads nothing of others, or only calls what has a row. */
const NONE = [
  "crates/dts/src/serve.rs answer",
  "crates/node/src/tasks.rs answer",
  "js/src/errors.ts messageOf",
  "js/src/live.ts bodyOf",
  "js/src/sw/rest.ts tailOf",
];
const ROWS = read("tests/fuzz/README.md")
  .split("\n")
  .filter((line) => line.startsWith("| ") && !line.startsWith("| where"))
  .map((line) => line.slice(1, -1).split("|").map((cell) => cell.trim()));

function sources(folder: string, ending: string): string[] {
  return readdirSync(new URL(folder, ROOT), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(ending))
    .map((name) => `${folder}/${name}`);
}

test("every decoder has a row", () => {
  const crates = readdirSync(new URL("crates", ROOT)).map((name) => `crates/${name}/src`);
  const rust = [...crates, "relay-node/src", "task-runner/src", "rewriter-wasm/src", "sdk-wasm/src"].filter((folder) => existsSync(new URL(folder, ROOT)));
  const files = [...rust.flatMap((folder) => sources(folder, ".rs")), ...sources("js/src", ".ts")];
  const decoders = files.flatMap((file) => {
    const text = read(file);
    const names = [...text.matchAll(file.endsWith(".rs") ? RUST : SCRIPT)].map((match) => match[1]!);
    return [...new Set(names)].map((name) => `${file} ${name}`);
  });
  expect(decoders.length).toBeGreaterThan(30);
  const has = (decoder: string) => {
    const [file, name] = decoder.split(" ") as [string, string];
    return ROWS.some(([where, what]) => where!.includes(`\`${file}\``) && what!.includes(`\`${name}\``));
  };
  expect(decoders.filter((decoder) => !has(decoder) && !NONE.includes(decoder))).toEqual([]);
  expect(NONE.filter((none) => !decoders.includes(none))).toEqual([]);
});

test("every row names what is there", () => {
  const wrong: string[] = [];
  for (const [where = "", , tests = "", targets = ""] of ROWS) {
    for (const [, path] of where.matchAll(/`([^`]+)`/g)) if (!existsSync(new URL(path!, ROOT))) wrong.push(where);
    const named = [...tests.matchAll(/`([^`:]+)(?:::(\w+)|: "([^"]+)")`/g)];
    if (named.length === 0) wrong.push(where);
    for (const [test, path, rust, title] of named) {
      const text = existsSync(new URL(path!, ROOT)) ? read(path!) : "";
      if (!text.includes(rust ? `fn ${rust}(` : `"${title}"`)) wrong.push(test);
    }
    for (const [, target] of targets.matchAll(/`(\w+)`/g)) {
      const folders = ["tests/fuzz", "crates/hvm/fuzz", "crates/code/fuzz"];
      if (!folders.some((folder) => read(`${folder}/Cargo.toml`).includes(`name = "${target}"`))) wrong.push(target!);
    }
  }
  expect(wrong).toEqual([]);
});
