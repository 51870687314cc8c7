// What the attacks on a page share: a tab that counts what it gives the browser, a stranger that was introduced to it, and a raw
// WebRTC end that speaks no PeerEdge.
import { eventually } from "../browser/flows/flow.mjs";
import { HEAR, Stranger } from "./stranger.mjs";

/** The bytes of an id: RFC 4648 base32 in lower case, without padding. */
export function idBytes(text) {
  const bits = [...text].map((c) => "abcdefghijklmnopqrstuvwxyz234567".indexOf(c).toString(2).padStart(5, "0")).join("");
  return Buffer.from(Array.from({ length: 32 }, (_, at) => parseInt(bits.slice(8 * at, 8 * at + 8), 2)));
}

/** A tab that counts the peer connections it makes, and what they are told: `window.seen`. */
export async function watchedTab(stage, options = {}) {
  const tab = await stage.tab(options);
  await tab.run(() => {
    const seen = (window.seen = { made: 0, open: 0, described: [], candidates: [], tracks: 0 });
    window.RTCPeerConnection = class extends RTCPeerConnection {
      constructor(...words) {
        super(...words);
        seen.made += 1;
        seen.open += 1;
        this.addEventListener("track", () => (seen.tracks += 1));
      }
      setRemoteDescription(description) {
        seen.described.push(description.sdp);
        return super.setRemoteDescription(description);
      }
      addIceCandidate(candidate) {
        seen.candidates.push(candidate.candidate);
        return super.addIceCandidate(candidate);
      }
      close() {
        if (this.connectionState !== "closed") seen.open -= 1;
        super.close();
      }
    };
  });
  return tab;
}

export const seen = (tab) => tab.run(() => window.seen);

/** The victim: a watched tab with a peer, and what it publishes. */
export async function victim(stage, options = {}) {
  const tab = await watchedTab(stage);
  const id = await tab.create(options);
  await tab.event("relay", { state: "ready" });
  const published = await tab.publish({ seed: 5, length: 300_000, name: "victim.bin" });
  return { tab, id, ...published };
}

/** A stranger that wants what the victim holds, and was introduced to it. */
export async function introduced(stage, { id, content }, options = {}) {
  const stranger = await Stranger.connect(stage.relay.url, options);
  const wanted = idBytes(id).toString("hex");
  await eventually(async () => {
    stranger.announce(idBytes(content), 0, 8);
    await stranger.settled(150);
    return stranger.introduced().includes(wanted);
  }, "the stranger is introduced to the victim", 20_000);
  stranger.victim = idBytes(id);
  let session = 1n;
  /** Sends a signal: of the session before, or of a new one. */
  stranger.offer = (signal) => {
    session += 1n;
    stranger.session = session << 16n;
    stranger.add(signal);
  };
  stranger.add = (signal) =>
    stranger.signal(stranger.victim, stranger.session, typeof signal === "string" ? signal : JSON.stringify(signal));
  /** What the victim signalled in a session, parsed. */
  stranger.answers = (of = stranger.session) =>
    stranger
      .heard(HEAR.signal)
      .filter((frame) => frame.readBigUInt64LE(33) === BigInt(of))
      .map((frame) => JSON.parse(frame.subarray(41).toString()));
  return stranger;
}

/** Whether an honest visitor still gets the victim's content from the victim itself. */
export async function exchanges(stage, { link }) {
  const tab = await stage.tab();
  try {
    await tab.create({ tuning: { http: false, giveUpAfterMs: 20_000 } });
    const { bytes } = await tab.fetch(link, { seed: 5 }).catch(() => ({ bytes: 0 }));
    return bytes === 300_000 && (await tab.stats()).fromPeersBytes >= 300_000;
  } finally {
    await tab.close();
  }
}

/** A WebRTC end in a page of its own, without PeerEdge: `window.rtc`, and its channel, which the victim takes for a peer's. */
export class RawEnd {
  static async open(stage) {
    const end = new RawEnd();
    end.tab = await stage.tab();
    return end;
  }

  /** Offers, as a stranger that was introduced; with media beside the channel if so. Gives the description. */
  async offer(stranger, { media = false, settleMs = 0 } = {}) {
    const sdp = await this.tab.run(
      async ([media]) => {
        window.rtc?.close();
        const rtc = (window.rtc = new RTCPeerConnection());
        window.heard = [];
        window.candidates = [];
        window.channel = rtc.createDataChannel("peeredge", { negotiated: true, id: 0, ordered: true });
        window.channel.binaryType = "arraybuffer";
        window.channel.onmessage = ({ data }) => window.heard.push(Array.from(new Uint8Array(data)));
        rtc.onicecandidate = ({ candidate }) => candidate?.candidate && window.candidates.push({ type: "candidate", candidate: candidate.candidate, mid: candidate.sdpMid });
        if (media) for (const kind of ["audio", "video"]) rtc.addTransceiver(kind, { direction: "sendrecv" });
        await rtc.setLocalDescription();
        return rtc.localDescription.sdp;
      },
      [media],
    );
    stranger.offer({ type: "offer", sdp });
    if (settleMs) await stranger.settled(settleMs);
    return sdp;
  }

  /** Connects as far as the victim goes along; gives whether its channel opened. */
  async connect(stranger, withinMs = 8_000) {
    let taken = 0;
    let given = 0;
    for (const until = performance.now() + withinMs; performance.now() < until; ) {
      const answers = stranger.answers();
      await this.tab.run(async (signals) => {
        for (const signal of signals) {
          if (signal.type === "answer") await window.rtc.setRemoteDescription(signal);
          else await window.rtc.addIceCandidate({ candidate: signal.candidate, sdpMid: signal.mid }).catch(() => undefined);
        }
      }, answers.slice(taken));
      taken = answers.length;
      const own = await this.tab.run(() => window.candidates);
      for (const candidate of own.slice(given)) stranger.add(candidate);
      given = own.length;
      if (await this.tab.run(() => window.channel.readyState === "open")) return true;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return false;
  }

  state() {
    return this.tab.run(() => window.channel.readyState);
  }

  async closed(withinMs = 10_000) {
    return eventually(async () => (await this.state()) === "closed", "the victim hangs up", withinMs).then(() => true, () => false);
  }
}


export { eventually };
