import { describe, expect, test } from "vitest";
import { contentOf, contentOfIdOrLink, linkTo } from "../../../js/src/link.js";
import { rangeOf } from "../../../js/src/range.js";

const ID = "2".repeat(51) + "q";

describe("links", () => {
  test("both spellings name the same content", () => {
    expect(contentOf(`peeredge:${ID}`)).toBe(ID);
    expect(contentOf(` https://relay.example:8080/c/${ID}/a%20film.mp4?x#y `)).toBe(ID);
    expect(contentOf(new URL(`http://127.0.0.1/c/${ID}`))).toBe(ID);
    expect(contentOf(linkTo("https://relay.example", ID, "ä / ?#.mp4"))).toBe(ID);
    expect(contentOfIdOrLink(ID)).toBe(ID);
  });

  test.each([
    "",
    ID,
    `peeredge:${ID}a`,
    `peeredge:${ID.toUpperCase()}`,
    // 260 bits are written, 256 are the id's: the last character has two spellings only.
    `peeredge:${"a".repeat(51)}b`,
    `ftp://relay.example/c/${ID}`,
    `https:///c/${ID}`,
    `https://relay.example/d/${ID}`,
    `https://relay.example/x/c/${ID}`,
    `https://relay.example/?/c/${ID}`,
  ])("refuses %s", (link) => {
    expect(() => contentOf(link)).toThrow(expect.objectContaining({ code: "invalid_link" }));
  });
});

describe("ranges", () => {
  const header = (range: string) => rangeOf({ headers: { Range: range } });

  test("a header names one range of bytes", () => {
    expect(header("bytes=0-499")).toEqual({ start: 0, end: 499 });
    expect(header("bytes=500-")).toEqual({ start: 500 });
    expect(header("BYTES=-5")).toEqual({ last: 5 });
    expect(header("bytes=7-7")).toEqual({ start: 7, end: 7 });
  });

  test("any other header is ignored, as servers do", () => {
    for (const range of ["bytes=", "bytes=-", "bytes=5-4", "bytes=0-1,3-4", "items=0-1", "bytes=a-b", "bytes=99999999999999999999-"]) {
      expect(header(range), range).toBeNull();
    }
    expect(rangeOf({})).toBeNull();
  });

  test("the option goes first, and is checked", () => {
    expect(rangeOf({ range: { start: 3 }, headers: { range: "bytes=1-2" } })).toEqual({ start: 3 });
    for (const range of [{ start: -1 }, { start: 1.5 }, { start: 2, end: 1 }, { last: NaN }]) {
      expect(() => rangeOf({ range })).toThrow(expect.objectContaining({ code: "invalid_option" }));
    }
  });
});
