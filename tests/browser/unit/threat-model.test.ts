// The threat model is read by a test: a frame or a path without a row fails, and so does a row whose test is not there.
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const ROOT = new URL("../../../", import.meta.url);
const read = (path: string) => readFileSync(new URL(path, ROOT), "utf8");

interface Row {
  section: string;
  subject: string;
  cells: string[];
  line: number;
}

/** The rows of all tables, with the heading above each. */
function rows(): Row[] {
  const found: Row[] = [];
  let section = "";
  read("docs/threat-model.md").split("\n").forEach((text, index) => {
    if (text.startsWith("## ")) section = text.slice(3).trim();
    if (!text.startsWith("|") || /^\|[-| ]+\|$/.test(text)) return;
    // A bar within code is no border.
    const cells = text.slice(1, -1).split(/(?<!\\)\|/).map((cell) => cell.trim());
    if (["frame", "request", "input"].includes(cells[0]!)) return;
    found.push({ section, subject: cells[0]!, cells, line: index + 1 });
  });
  return found;
}

/** Names of the tags that a source file defines, in words. */
function tags(path: string): string[] {
  return [...read(path).matchAll(/const ([A-Z_]+): u8 = 0x/g)].map((match) => match[1]!.toLowerCase().replaceAll("_", " "));
}

const FRAMES: Record<string, string[]> = {
  "Peer to relay": ["crates/wire/src/relay/to_relay.rs", "crates/wire/src/relay/receipt.rs"],
  "Relay to peer": ["crates/wire/src/relay/from_relay.rs"],
  "Peer to peer": ["crates/wire/src/peer/message.rs"],
  Tasks: ["crates/wire/src/relay/tasks.rs"],
};

/** Whether a subject names this frame: several may share a row. */
function names(subject: string, name: string): boolean {
  return new RegExp(`\\b${name}\\b`, "i").test(subject);
}

describe("docs/threat-model.md", () => {
  const all = rows();

  for (const [section, paths] of Object.entries(FRAMES)) {
    it(`has a row for every frame: ${section}`, () => {
      const subjects = all.filter((row) => row.section === section).map((row) => row.subject);
      const missing = paths.flatMap(tags).filter((tag) => !subjects.some((subject) => names(subject, tag)));
      expect(missing).toEqual([]);
    });
  }

  it("has a row for every path of the relay", () => {
    const source = read("relay-node/src/http/mod.rs");
    const paths = [...source.matchAll(/\.route\(\s*"([^"]+)"/g)].map((match) => match[1]!);
    expect(paths.length).toBeGreaterThan(5);
    const subjects = all.filter((row) => row.section === "The relay's ports").map((row) => row.subject);
    expect(paths.filter((path) => !subjects.some((subject) => subject.includes(path.replace(/\/\{.*$/, ""))))).toEqual([]);
  });

  it("says in every row who, what, which bound, and which test", () => {
    expect(all.length).toBeGreaterThan(60);
    expect(all.filter((row) => row.cells.length !== 5 || row.cells.some((cell) => cell === "")).map((row) => row.line)).toEqual([]);
  });

  it("names tests that are there", () => {
    const wrong: string[] = [];
    for (const row of all) {
      const tests = [...(row.cells[4] ?? "").matchAll(/`([^`:]+)(?:::([^`]+)|: "([^`]+)")`/g)];
      if (tests.length === 0) wrong.push(`line ${row.line}: no test`);
      for (const [, path, name, title] of tests) {
        const file = new URL(path!, ROOT);
        const wanted = title ?? name;
        if (!path!.includes("/") || !existsSync(file)) wrong.push(`line ${row.line}: ${path} is not there`);
        else if (!wanted || !readFileSync(file, "utf8").includes(wanted)) wrong.push(`line ${row.line}: ${path} has no ${wanted}`);
      }
    }
    expect(wrong).toEqual([]);
  });
});
