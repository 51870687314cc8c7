/**
 * What two ends tell each other before their channel opens, as JSON. The native peer speaks the same. Whoever sends one is a
 * stranger, and what a description names the browser makes: so it is read here to the letter, and only what was understood is
 * passed on.
 */
export type Signal =
  | { type: "offer" | "answer"; sdp: string; mid: string }
  /** `candidate` is empty for one that is passed over: the end of candidates, TCP, a name to look up, no address of a host. */
  | { type: "candidate"; candidate: string; mid: string | null };

/** As `SIGNAL_BYTES_MAX` of the wire format. */
const SIGNAL_CHARACTERS_MAX = 16 * 1024;
const DESCRIPTION_CHARACTERS_MAX = 8 * 1024;
const CANDIDATE_CHARACTERS_MAX = 512;
/** Candidates that a description may hold, and that may follow it: each makes the browser send packets to where it says. */
export const CANDIDATES_MAX = 32;

/** Ordinary lines of a description: what may stand before its section, and in it. */
const SESSION = [
  /^v=0$/,
  /^o=[\x21-\x7e]{1,64} \d{1,20} \d{1,20} IN IP[46] [\w.:-]{1,64}$/,
  /^s=[\x20-\x7e]{1,64}$/,
  /^t=0 0$/,
  /^c=IN IP[46] [\w.:-]{1,64}$/,
  /^b=AS:\d{1,10}$/,
];
const SECTION = /^m=application \d{1,5} (?:UDP|TCP)\/DTLS\/SCTP webrtc-datachannel$/;
/** Attributes that are passed on. */
const ATTRIBUTES = [
  /^group:BUNDLE [\w-]{1,16}$/,
  /^ice-lite$/,
  /^ice-ufrag:[\w+/-]{4,256}$/,
  /^ice-pwd:[\w+/-]{22,256}$/,
  /^ice-options:[\w+ -]{1,64}$/,
  /^fingerprint:sha-(?:256|384|512) [\dA-Fa-f]{2}(?::[\dA-Fa-f]{2}){31,63}$/,
  /^setup:(?:actpass|active|passive)$/,
  /^mid:[\w-]{1,16}$/,
  /^sctp-port:\d{1,5}$/,
  /^max-message-size:\d{1,10}$/,
  /^end-of-candidates$/,
];
/** Attributes that say nothing about a data section, and are left out. Any other that is unknown is one of media. */
const LEFT_OUT =
  /^(?:extmap-allow-mixed|msid-semantic:[ \w*-]{0,64}|sendrecv|tls-id:[\w+/-]{1,255}|rtcp-mux|bundle-only|msid-semantic|ice-pacing:\d{1,5})$/;
/** Each has to be there, once. */
const NEEDED = ["ice-ufrag", "ice-pwd", "fingerprint", "setup", "mid", "sctp-port"];

const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.|$)){4}$/;
const IPV6 = /^(?=[^:]*:)[\da-f]{0,4}(?::[\da-f]{0,4}){2,7}(?:%\w{1,16})?$/i;
/** The name behind which a browser hides a local address. Any other would be looked up. */
const HIDDEN = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}\.local$/i;
/** This host, all hosts, or many. */
const NO_HOST = /^(?:0\.|22[4-9]\.|2[345]\d\.|::$|ff)/i;

/** Reads a signal; `null` if it is none, or asks for anything but one data channel. */
export function readSignal(text: string): Signal | null {
  if (text.length > SIGNAL_CHARACTERS_MAX) return null;
  let signal: Partial<Record<string, unknown>> | null;
  try {
    signal = JSON.parse(text) as typeof signal;
  } catch {
    return null;
  }
  if (typeof signal !== "object" || signal === null) return null;
  const { type, sdp, candidate, mid } = signal;
  if ((type === "offer" || type === "answer") && typeof sdp === "string") {
    const description = readDescription(type, sdp);
    return description && { type, ...description };
  }
  if (type !== "candidate" || typeof candidate !== "string") return null;
  if (mid !== undefined && mid !== null && !(typeof mid === "string" && /^[\w-]{1,16}$/.test(mid))) return null;
  const read = readCandidate(candidate.replace(/^a=/, ""));
  return read === null ? null : { type, candidate: read, mid: mid ?? null };
}

/** The lines that were understood of a description with exactly one section, a data channel's. */
export function readDescription(type: "offer" | "answer", sdp: string): { sdp: string; mid: string } | null {
  if (sdp.length > DESCRIPTION_CHARACTERS_MAX) return null;
  const out: string[] = [];
  const found = new Map<string, string>();
  let sections = 0;
  let candidates = 0;
  for (const line of sdp.split(/\r\n|\n/)) {
    if (line === "") continue;
    if (line.startsWith("a=")) {
      const attribute = line.slice(2);
      const [name = "", value = ""] = split(attribute);
      if (name === "candidate") {
        const candidate = readCandidate(attribute);
        if (candidate === null || sections === 0 || ++candidates > CANDIDATES_MAX) return null;
        if (candidate) out.push(`a=${candidate}`);
      } else if (ATTRIBUTES.some((known) => known.test(attribute))) {
        // Those of the ICE session may stand before the section or in it, but not with two values.
        if (found.has(name) && found.get(name) !== value) return null;
        if (found.has(name) && NEEDED.includes(name)) continue;
        found.set(name, value);
        out.push(line);
      } else if (!LEFT_OUT.test(attribute)) return null;
    } else if (SECTION.test(line)) {
      sections += 1;
      out.push(line);
    } else if (SESSION.some((known) => known.test(line))) out.push(line);
    else return null;
  }
  if (sections !== 1 || !NEEDED.every((name) => found.has(name))) return null;
  const [mid = "", group = mid] = [found.get("mid"), found.get("group")?.replace("BUNDLE ", "")];
  if (group !== mid || (type === "offer") !== (found.get("setup") === "actpass")) return null;
  const port = Number(found.get("sctp-port"));
  return port > 0 && port < 65_536 ? { sdp: `${out.join("\r\n")}\r\n`, mid } : null;
}

/** A candidate as it was, `""` for one that is passed over, `null` for what is none. */
export function readCandidate(text: string): string | null {
  if (text === "") return "";
  if (text.length > CANDIDATE_CHARACTERS_MAX) return null;
  const fields = /^candidate:([\w+/]{1,32}) (\d{1,5}) (\w{3,8}) (\d{1,10}) (\S{1,255}) (\d{1,5}) typ (host|srflx|prflx|relay)((?: [\w-]{1,32} [\w.:+/%-]{1,256}){0,12})$/.exec(text.trim());
  if (!fields) return null;
  const [, , component, transport, , address = "", port] = fields;
  const isAddress = IPV4.test(address) || IPV6.test(address) || HIDDEN.test(address);
  // Over TCP a page would connect to whatever port of whatever host a stranger names.
  const wanted = component === "1" && transport?.toLowerCase() === "udp" && isAddress && !NO_HOST.test(address);
  return wanted && Number(port) > 0 && Number(port) < 65_536 ? text.trim() : "";
}

function split(attribute: string): string[] {
  const at = attribute.indexOf(":");
  return at < 0 ? [attribute] : [attribute.slice(0, at), attribute.slice(at + 1)];
}
