import { expect, test } from "vitest";
import { cleaned, rangeIn, stateOf } from "../../../js/src/sw/checks.js";

const LINK = `peeredge:${"a".repeat(52)}`;
const patience = { takeMs: 300, stallMs: 1500 };

test("routes are links under addresses, within bounds", () => {
  expect(stateOf({ routes: { "https://site.example/a.png": LINK }, patience })).not.toBeNull();
  for (const routes of [
    null,
    "routes",
    { "/a.png": LINK },
    { "javascript:alert(1)": LINK },
    { "https://site.example/a": "https://evil.example/a" },
    { "https://site.example/a": 7 },
    { [`https://site.example/${"a".repeat(5000)}`]: LINK },
    Object.fromEntries(Array.from({ length: 20_001 }, (_, n) => [`https://site.example/${n}`, LINK])),
  ]) {
    expect(stateOf({ routes, patience })).toBeNull();
  }
  for (const wrong of [null, {}, { takeMs: -1, stallMs: 1 }, { takeMs: Infinity, stallMs: 1 }, { takeMs: 1, stallMs: "1" }, { takeMs: NaN, stallMs: 1 }]) {
    expect(stateOf({ routes: {}, patience: wrong })).toBeNull();
  }
  expect(stateOf(null)).toBeNull();
});

test("what a page gives as headers is not run and sets nothing else", () => {
  const headers = cleaned([
    ["content-type", "text/html; charset=utf-8"],
    ["set-cookie", "a=b"],
    ["service-worker-allowed", "/"],
    ["content-length", "7"],
  ]);
  const always = [
    ["content-type", "application/octet-stream"],
    ["x-content-type-options", "nosniff"],
  ];
  const sandbox = ["content-security-policy", "sandbox; default-src 'none'"];
  expect([...headers]).toEqual([["content-length", "7"], sandbox, ...always]);
  for (const active of ["image/svg+xml", "TEXT/JavaScript", "application/xhtml+xml", "text/css", "application/x-javascript", "application/pdf", "multipart/x-mixed-replace", "text/xml"]) {
    expect(cleaned([["content-type", active]]).get("content-type"), active).toBe("application/octet-stream");
  }
  for (const passive of ["image/png", "video/mp4", "application/json", "font/woff2", "application/vnd.apple.mpegurl"]) {
    expect(cleaned([["content-type", passive]]).get("content-type"), passive).toBe(passive);
  }
  expect([...cleaned("nonsense")]).toEqual([sandbox, ...always]);
});

test("ranges are read as servers write them", () => {
  expect(rangeIn("bytes 0-9/10")).toEqual({ start: 0, last: 9, length: 10 });
  expect(rangeIn(" Bytes 0 - 9 / * ")).toEqual({ start: 0, last: 9, length: null });
  for (const wrong of [null, "", "bytes */10", "bytes 9-0/10", "items 0-9/10", "bytes 0-9"]) expect(rangeIn(wrong)).toBeNull();
});
