import { describe, expect, test } from "vitest";
import { describe as headersOf, plainName, safeMediaType } from "../../../js/src/media-type.js";

describe("a media type", () => {
  for (const [given, type, inline] of [
    ["video/mp4", "video/mp4", true],
    ["Image/PNG; x=y", "image/png", true],
    ['video/mp4; codecs="avc1.42E01E, mp4a.40.2"', 'video/mp4; codecs="avc1.42E01E, mp4a.40.2"', true],
    ['video/mp4; codecs="<b>"', "video/mp4", true],
    ["text/plain; charset=latin1", "text/plain; charset=utf-8", true],
    ["application/json", "application/json", false],
    ["application/vnd.apple.mpegurl", "application/vnd.apple.mpegurl", false],
    ["application/zip", "application/zip", false],
  ] as const) {
    test(`${given} is ${type}`, () => expect(safeMediaType(given)).toEqual({ type, inline }));
  }

  for (const given of [
    "text/html", "TEXT/HTML; charset=utf-8", " text/html", "application/xhtml+xml", "image/svg+xml", "text/xml", "application/xslt+xml",
    "text/javascript", "application/x-javascript", "application/ecmascript", "text/vbscript", "text/css", "application/wasm",
    "application/pdf", "multipart/x-mixed-replace", "message/rfc822", "text/cache-manifest", "application/manifest+json",
    "application/importmap+json", "application/speculationrules+json", "application/signed-exchange", "application/webbundle",
    "application/x-shockwave-flash", "application/java-archive", "application/x-chrome-extension", "", "video", "video/", "video/mp4\r\nx: y",
    "video/mp4, text/html", "*/*", `video/${"x".repeat(200)}`,
  ]) {
    test(`${JSON.stringify(given)} is kept from running`, () => {
      expect(safeMediaType(given)).toEqual({ type: "application/octet-stream", inline: false });
    });
  }
});

describe("a stranger's name", () => {
  test("shows what is in it, in the order in which it is written", () => {
    expect(plainName("Ferien \u{1f3d6}\ufe0f \u05e9\u05dc\u05d5\u05dd.mp4")).toBe("Ferien \u{1f3d6}\ufe0f \u05e9\u05dc\u05d5\u05dd.mp4");
    expect(plainName("photo\u202egpj.exe")).toBe("photo\ufffdgpj.exe");
    for (const code of [0, 10, 13, 0x1b, 0x7f, 0x85, 0x61c, 0x200e, 0x200f, 0x202a, 0x202e, 0x2028, 0x2066, 0x2069, 0xfeff, 0xd800, 0xdfff, 0xad, 0x200b, 0x2060, 0x2800, 0x3164, 0xe0041]) {
      expect(plainName(`a${String.fromCodePoint(code)}b`)).toBe("a\ufffdb");
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
