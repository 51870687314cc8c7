import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { describe as headersOf, plainName, safeMediaType } from "../../../js/src/media-type.js";

// The relay's own tests (`relay-node/src/http/content.rs`, `relay-node/src/names.rs`) read the same table.
const TABLE: { active: string[]; shown: [string, string, boolean][]; plain: string[]; unseen: [number, number][] } = JSON.parse(readFileSync(new URL("../../media-types.json", import.meta.url), "utf8"));

describe("a media type", () => {
  for (const [given, type, inline] of [
    ...TABLE.shown,
    // A player in the page needs these; the relay's answers are read by their bytes.
    ['video/mp4; codecs="avc1.42E01E, mp4a.40.2"', 'video/mp4; codecs="avc1.42E01E, mp4a.40.2"', true],
    ['video/mp4; codecs="<b>"', "video/mp4", true],
  ] as const) {
    test(`${given} is ${type}`, () => expect(safeMediaType(given)).toEqual({ type, inline }));
  }

  for (const given of [...TABLE.plain, ...TABLE.active.map((word) => `application/x-${word}`)]) {
    test(`${JSON.stringify(given)} is kept from running`, () => {
      expect(safeMediaType(given)).toEqual({ type: "application/octet-stream", inline: false });
    });
  }

  test("is active by the words of the table, and no others", () => {
    const source = readFileSync(new URL("../../../js/src/media-type.ts", import.meta.url), "utf8");
    expect(/const ACTIVE =\s*\/(.*)\/;/.exec(source)![1]!.split("|")).toEqual(TABLE.active);
  });
});

describe("a stranger's name", () => {
  test("shows what is in it, in the order in which it is written", () => {
    expect(plainName("Ferien \u{1f3d6}\ufe0f \u05e9\u05dc\u05d5\u05dd.mp4")).toBe("Ferien \u{1f3d6}\ufe0f \u05e9\u05dc\u05d5\u05dd.mp4");
    expect(plainName("photo\u202egpj.exe")).toBe("photo\ufffdgpj.exe");
    for (const code of [0, 10, 13, 0x1b, 0x7f, 0x85, 0x61c, 0x200e, 0x200f, 0x202a, 0x202e, 0x2028, 0x2066, 0x2069, 0xfeff, 0xd800, 0xdfff]) {
      expect(plainName(`a${String.fromCodePoint(code)}b`)).toBe("a\ufffdb");
    }
    for (const [first, last] of TABLE.unseen) {
      for (let code = first; code <= last; code++) expect(plainName(`a${String.fromCodePoint(code)}b`)).toBe("a\ufffdb");
    }
  });

  test("is a header's that holds nothing else", () => {
    const headers = new Headers(headersOf("2".repeat(52), "\u202e'(x)*\r\n.html", "text/html"));
    expect(headers.get("content-disposition")).toBe("attachment; filename*=UTF-8''%EF%BF%BD%27%28x%29%2a%EF%BF%BD%EF%BF%BD.html");
    expect(headers.get("content-type")).toBe("application/octet-stream");
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("content-security-policy")).toMatch("sandbox");
  });
});
