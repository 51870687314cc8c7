import { describe, expect, test } from "vitest";
import { CANDIDATES_MAX, readCandidate, readDescription, readSignal } from "../../../js/src/signals.js";

const FINGERPRINT = `sha-256 ${Array.from({ length: 32 }, (_, at) => (at + 160).toString(16).toUpperCase()).join(":")}`;
const HOST = "candidate:4087252484 1 udp 2113937151 81408d01-a91e-49b1-825b-7823c71effc0.local 49510 typ host generation 0 network-cost 999";
const lines = (...given: string[]) => given.map((line) => `${line}\r\n`).join("");
const head = ["v=0", "o=- 8232972783871587422 2 IN IP4 127.0.0.1", "s=-", "t=0 0"];
const section = [
  "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
  "c=IN IP4 0.0.0.0",
  "a=ice-ufrag:wcO5",
  "a=ice-pwd:0ZGGERUwZqFDtzKy2elhA9d4",
  "a=ice-options:trickle",
  `a=fingerprint:${FINGERPRINT}`,
  "a=setup:actpass",
  "a=mid:0",
  "a=sctp-port:5000",
  "a=max-message-size:262144",
];
const CHROMIUM = lines(...head, "a=group:BUNDLE 0", "a=extmap-allow-mixed", "a=msid-semantic: WMS", ...section);
const FIREFOX = lines(
  "v=0",
  "o=mozilla...THIS_IS_SDPARTA-99.0 4935290843 0 IN IP4 0.0.0.0",
  "s=-",
  "t=0 0",
  "a=sendrecv",
  `a=fingerprint:${FINGERPRINT}`,
  "a=group:BUNDLE 0",
  "a=ice-options:trickle",
  "a=msid-semantic:WMS *",
  "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
  "c=IN IP4 0.0.0.0",
  "a=sendrecv",
  "a=ice-pwd:0123456789abcdef0123456789abcdef",
  "a=ice-ufrag:0123abcd",
  "a=mid:0",
  "a=setup:actpass",
  "a=sctp-port:5000",
  "a=max-message-size:1073741823",
);
const AUDIO = ["m=audio 9 UDP/TLS/RTP/SAVPF 111", "c=IN IP4 0.0.0.0", "a=rtpmap:111 opus/48000/2", "a=sendrecv", "a=mid:1"];

describe("a description", () => {
  test("of a browser's is read, and keeps what matters", () => {
    const read = readDescription("offer", CHROMIUM)!;
    expect(read.mid).toBe("0");
    for (const line of ["m=application 9", "a=ice-ufrag:wcO5", `a=fingerprint:${FINGERPRINT}`, "a=setup:actpass", "a=sctp-port:5000"]) {
      expect(read.sdp).toContain(line);
    }
    expect(read.sdp).not.toContain("msid");
    expect(readDescription("offer", FIREFOX)?.mid).toBe("0");
    expect(readDescription("answer", CHROMIUM.replace("actpass", "active"))?.mid).toBe("0");
    expect(readDescription("offer", lines(...head, ...section, `a=${HOST}`))?.sdp).toContain(".local");
  });

  const wrong: [string, string][] = [
    ["nothing", ""],
    ["noise", "\0".repeat(1000)],
    ["audio beside the data", CHROMIUM + lines(...AUDIO)],
    ["audio alone", lines(...head, ...AUDIO)],
    ["video", CHROMIUM + lines("m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:1", "a=rtpmap:96 VP8/90000")],
    ["media that is refused by its port", CHROMIUM + lines("m=audio 0 UDP/TLS/RTP/SAVPF 111", "a=mid:1")],
    ["two data sections", CHROMIUM + lines(...section.map((line) => line.replace("mid:0", "mid:1")))],
    ["a section of another protocol", CHROMIUM.replace("UDP/DTLS/SCTP", "RTP/AVP")],
    ["a section of another format", CHROMIUM.replace("webrtc-datachannel", "x")],
    ["a codec in the data section", CHROMIUM + lines("a=rtpmap:96 VP8/90000")],
    ["a stream's source", CHROMIUM + lines("a=ssrc:1 cname:x")],
    ["a header extension", CHROMIUM + lines("a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid")],
    ["an identity", CHROMIUM + lines("a=identity:eyJpZHAi")],
    ["an attribute that nobody knows", CHROMIUM + lines("a=x-whatever:1")],
    ["a line that nobody knows", CHROMIUM + lines("k=clear:x")],
    ["no fingerprint", CHROMIUM.replace(/a=fingerprint.*\r\n/, "")],
    ["a fingerprint that is too weak", CHROMIUM.replace("sha-256", "sha-1")],
    ["no password", CHROMIUM.replace(/a=ice-pwd.*\r\n/, "")],
    ["a password that is too short", CHROMIUM.replace("0ZGGERUwZqFDtzKy2elhA9d4", "short")],
    ["two passwords", CHROMIUM + lines("a=ice-pwd:9999999999999999999999")],
    ["a name of two sections", CHROMIUM.replace("BUNDLE 0", "BUNDLE 0 1")],
    ["a name of another section", CHROMIUM.replace("BUNDLE 0", "BUNDLE 1")],
    ["an answer's role", CHROMIUM.replace("actpass", "active")],
    ["a port that is none", CHROMIUM.replace("sctp-port:5000", "sctp-port:70000")],
    ["a long line", CHROMIUM + lines(`a=ice-options:${"x".repeat(5000)}`)],
    ["more candidates than anyone has", CHROMIUM + lines(...Array.from({ length: CANDIDATES_MAX + 1 }, () => `a=${HOST}`))],
    ["a candidate that is none", CHROMIUM + lines("a=candidate:1 1 udp 1 host")],
    ["a candidate before its section", lines(...head, `a=${HOST}`, ...section)],
    ["many lines", CHROMIUM + lines(...Array.from({ length: 2000 }, () => "b=AS:1"))],
  ];
  for (const [name, sdp] of wrong) {
    test(`with ${name} is none`, () => expect(readDescription("offer", sdp)).toBeNull());
  }

  test("of an offer is no answer", () => expect(readDescription("answer", CHROMIUM)).toBeNull());
});

describe("a candidate", () => {
  const udp = (address: string, port = 9000) => `candidate:1 1 udp 2113937151 ${address} ${port} typ host`;
  const cases: [string, string, "taken" | "passed over" | "none"][] = [
    ["behind a name", HOST, "taken"],
    ["of IPv4", udp("192.0.2.1"), "taken"],
    ["of this machine", udp("127.0.0.1"), "taken"],
    ["of IPv6", udp("2001:db8::1"), "taken"],
    ["of IPv6, in full", udp("2001:db8:1:2:3:4:5:6"), "taken"],
    ["seen from outside", "candidate:2 1 udp 1677729535 192.0.2.1 41000 typ srflx raddr 0.0.0.0 rport 0 generation 0", "taken"],
    ["of the native peer", "candidate:12345 1 UDP 2113937151 10.0.0.1 4000 typ host ufrag abcd", "taken"],
    ["that is the end", "", "passed over"],
    ["over TCP", "candidate:1 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active", "passed over"],
    ["over TCP to a port", "candidate:1 1 tcp 1518280447 192.0.2.1 22 typ host tcptype passive", "passed over"],
    ["of a second component", udp("192.0.2.1").replace(" 1 udp", " 2 udp"), "passed over"],
    ["with a name to look up", udp("victim.example"), "passed over"],
    ["with a name that is hidden in nothing", udp("printer.local"), "passed over"],
    ["of no host", udp("0.0.0.0"), "passed over"],
    ["of many hosts", udp("239.1.2.3"), "passed over"],
    ["of all hosts", udp("255.255.255.255"), "passed over"],
    ["of many hosts in IPv6", udp("ff02::1"), "passed over"],
    ["of IPv4 out of range", udp("256.1.1.1"), "passed over"],
    ["with no port", udp("192.0.2.1", 0), "passed over"],
    ["with a port out of range", udp("192.0.2.1", 70_000), "passed over"],
    ["with another line in it", `${udp("192.0.2.1")}\r\na=x`, "none"],
    ["of another kind", udp("192.0.2.1").replace("typ host", "typ other"), "none"],
    ["that is long", udp("192.0.2.1") + " x y".repeat(1000), "none"],
    ["that is noise", "candidate", "none"],
  ];
  for (const [name, text, what] of cases) {
    test(`${name} is ${what}`, () => {
      const read = readCandidate(text);
      expect(read === null ? "none" : read === "" ? "passed over" : "taken").toBe(what);
    });
  }
});

describe("a signal", () => {
  const read = (signal: unknown) => readSignal(JSON.stringify(signal));

  test("is an offer, an answer or a candidate", () => {
    expect(read({ type: "offer", sdp: CHROMIUM })).toMatchObject({ type: "offer", mid: "0" });
    expect(read({ type: "answer", sdp: CHROMIUM.replace("actpass", "passive") })).toMatchObject({ type: "answer" });
    expect(read({ type: "candidate", candidate: HOST, mid: "0", x: 1 })).toEqual({ type: "candidate", candidate: HOST, mid: "0" });
    expect(read({ type: "candidate", candidate: `a=${HOST}` })).toEqual({ type: "candidate", candidate: HOST, mid: null });
  });

  for (const other of [null, 1, "offer", [], {}, { type: "rollback" }, { type: "pranswer", sdp: CHROMIUM }, { type: "offer" }, { type: "offer", sdp: 1 }, { type: "candidate" }, { type: "candidate", candidate: HOST, mid: {} }, { type: "candidate", candidate: HOST, mid: "x".repeat(99) }]) {
    test(`is not ${JSON.stringify(other).slice(0, 40)}`, () => expect(read(other)).toBeNull());
  }

  test("is not one byte, and not more than the relay carries", () => {
    for (const text of ["", "x", "{", "\0", `{"type":"offer","sdp":"${"x".repeat(20_000)}"}`]) expect(readSignal(text)).toBeNull();
  });
});
