export type MediaKind = "video" | "audio" | "image" | "file";

/** How a content is shown. The type is the publisher's word: it chooses an element, and grants nothing. */
export function kindOf(mediaType: string): MediaKind {
  const kind = mediaType.split("/")[0];
  return kind === "video" || kind === "audio" || kind === "image" ? kind : "file";
}

/** Bytes of a file's beginning with which {@link streamTypeOf} can decide. */
export const HEAD_BYTES = 256 << 10;

/**
 * The type to open a `MediaSource` with, from a file's first bytes; null for what can only be played as a whole: anything but
 * WebM, fragmented MP4 and MP3.
 */
export function streamTypeOf(mediaType: string, head: Uint8Array): string | null {
  if (mediaType === "audio/mpeg") return "audio/mpeg";
  if (startsWith(head, [0x1a, 0x45, 0xdf, 0xa3])) return webmType(mediaType, head);
  if (indexOf(head.subarray(0, 12), "ftyp") === 4) return fragmentedType(mediaType, head);
  return null;
}

function webmType(mediaType: string, head: Uint8Array): string | null {
  // Codec names are plain text in the tracks' headers, which come before all media.
  const known = [["V_VP8", "vp8"], ["V_VP9", "vp9"], ["A_OPUS", "opus"], ["A_VORBIS", "vorbis"]] as const;
  const codecs = known.filter(([name]) => indexOf(head, name) >= 0).map(([, codec]) => codec);
  const unknown = indexOf(head, "V_AV1") >= 0;
  const base = mediaType.startsWith("audio/") ? "audio/webm" : "video/webm";
  return codecs.length && !unknown ? `${base}; codecs="${codecs.join(",")}"` : null;
}

function fragmentedType(mediaType: string, head: Uint8Array): string | null {
  if (indexOf(head, "mvex") < 0) return null;
  const codecs: string[] = [];
  const avc = indexOf(head, "avcC");
  if (avc >= 0) {
    // ISO/IEC 14496-15: version, then profile, compatibility and level.
    const hex = [...head.subarray(avc + 5, avc + 8)].map((byte) => byte.toString(16).padStart(2, "0"));
    codecs.push(`avc1.${hex.join("")}`);
  } else if (["hvcC", "av1C", "vpcC"].some((box) => indexOf(head, box) >= 0)) {
    return null;
  }
  if (indexOf(head, "mp4a") >= 0) codecs.push("mp4a.40.2");
  const base = mediaType.startsWith("audio/") ? "audio/mp4" : "video/mp4";
  return codecs.length ? `${base}; codecs="${codecs.join(",")}"` : null;
}

function startsWith(bytes: Uint8Array, prefix: number[]): boolean {
  return prefix.every((byte, at) => bytes[at] === byte);
}

function indexOf(bytes: Uint8Array, text: string): number {
  const codes = [...text].map((c) => c.charCodeAt(0));
  for (let at = bytes.indexOf(codes[0] ?? 0); at >= 0; at = bytes.indexOf(codes[0] ?? 0, at + 1)) {
    if (codes.every((code, offset) => bytes[at + offset] === code)) return at;
  }
  return -1;
}
