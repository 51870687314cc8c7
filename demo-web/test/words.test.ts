import { describe, expect, it } from "vitest";
import { kindOf, streamTypeOf } from "../src/media/kind.ts";
import { problemOf } from "../src/problem.ts";
import { revive } from "../src/settings.ts";
import { stepOf } from "../src/views/caps.ts";
import { linkIn } from "../src/views/source.ts";

const ID = "ppnk4etsjgda76y5istsraafez4626ljjhzbqwcuiih2kntzd3aa";

function fileOf(...parts: (string | number[])[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => (typeof part === "string" ? [...part].map((c) => c.charCodeAt(0)) : part)));
}

describe("what a visitor enters or has saved", () => {
  it("takes the address that the page shares, a bare id, and leaves links alone", () => {
    expect(linkIn(` http://127.0.0.1:8080/?c=${ID} `)).toBe(`peeredge:${ID}`);
    expect(linkIn(ID)).toBe(`peeredge:${ID}`);
    expect(linkIn(`https://relay.example/c/${ID}/film.mp4`)).toBe(`https://relay.example/c/${ID}/film.mp4`);
    expect(linkIn("hello")).toBe("hello");
  });

  it("revives saved limits, and nothing that has another form", () => {
    expect(revive({ upload: false, uploadBytesPerSecond: "no limit", uploadBytes: 5e6, connections: 8 })).toEqual({
      upload: false,
      uploadBytesPerSecond: Infinity,
      uploadBytes: 5e6,
      connections: 8,
    });
    expect(revive({ upload: "yes", uploadBytes: -1, uploadBytesPerSecond: null, connections: 1.5, evil: 1 })).toEqual({});
  });

  it("puts a limit on the step that does not exceed it", () => {
    expect([0, 1, 5, 9, Infinity].map((value) => stepOf([1, 4, 8, Infinity], value))).toEqual([0, 0, 1, 2, 3]);
  });
});

describe("errors in words", () => {
  it("has words of its own for a stable code, and passes on any other message", () => {
    const known = problemOf(Object.assign(new Error("no source"), { code: "unavailable" }));
    expect(known).toMatchObject({ code: "unavailable" });
    expect(known.advice).not.toContain("no source");
    expect(problemOf(new TypeError("x is not a function"))).toMatchObject({ code: "TypeError", advice: "x is not a function" });
    // A DOMException has a numeric code, which is none of ours.
    expect(problemOf(Object.assign(new Error("gone"), { code: 8 })).code).toBe("Error");
  });
});

describe("what can play while it arrives", () => {
  const EBML = [0x1a, 0x45, 0xdf, 0xa3];

  it("knows how to show a type", () => {
    expect(["video/mp4", "audio/ogg", "image/png", "application/pdf", ""].map(kindOf)).toEqual(["video", "audio", "image", "file", "file"]);
  });

  it("reads a WebM's codecs, and leaves unknown ones for the end", () => {
    expect(streamTypeOf("video/webm", fileOf(EBML, "....V_VP9....A_OPUS"))).toBe('video/webm; codecs="vp9,opus"');
    expect(streamTypeOf("video/webm", fileOf(EBML, "....V_AV1....A_OPUS"))).toBeNull();
    expect(streamTypeOf("video/webm", fileOf(EBML, "...."))).toBeNull();
  });

  it("reads a fragmented MP4's codecs; a plain MP4 has to be whole", () => {
    const start = fileOf([0, 0, 0, 24], "ftypiso5", [0, 0, 0, 9]);
    const tracks = fileOf("moov....avcC", [1, 0x64, 0, 0x28], "....mp4a");
    expect(streamTypeOf("video/mp4", fileOf([...start], [...tracks], "mvex"))).toBe('video/mp4; codecs="avc1.640028,mp4a.40.2"');
    expect(streamTypeOf("video/mp4", fileOf([...start], [...tracks]))).toBeNull();
    expect(streamTypeOf("video/mp4", fileOf([...start], "moov....hvcC....mvex"))).toBeNull();
  });

  it("never takes a file for media by its type alone", () => {
    expect(streamTypeOf("video/mp4", fileOf("<html>"))).toBeNull();
  });
});
