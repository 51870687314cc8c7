import { HELD_MAX, make, release } from "./recycle.js";
import { CANDIDATES_MAX, readSignal, type Signal } from "./signals.js";

export interface ConnectionEvents {
  /** Hand this channel to the engine; at once, since it can be transferred only before it opens. */
  channel(connection: number, channel: RTCDataChannel): void;
  /** Carry this to the other end, unread. */
  signal(connection: number, signal: string): void;
  /** The connection failed, or could not be made in time. */
  closed(connection: number): void;
  /** How long a packet took there and back, without waiting behind data. */
  roundTrip(connection: number, ms: number): void;
  /** So many connections may be opened in all: the browser let go of some. */
  budget(madeMax: number): void;
}

const CONNECT_WITHIN_MS = 15_000;
/**
 * Round trips are looked up so often while a connection is young, and later: the browser measures them only every few seconds then.
 * With more connections than these, eight lanes and two others, seldomer, since each look costs the browser's threads about as much as a message.
 */
const LOOK_EARLY_MS = 400;
const LOOK_LATER_MS = 1_500;
const LOOKED_AT_ONCE = 10;
const EARLY_LOOKS = 20;

interface Entry {
  readonly offerer: boolean;
  /** None is made before an offer has come that is one. */
  rtc: RTCPeerConnection | null;
  /** Ends the connection if it does not open; afterwards, the next look at its round trip. */
  timer: ReturnType<typeof setTimeout>;
  /** Answers to connectivity checks when the round trip was last told. */
  answers: number;
  /** The section that the other end described; null until it did, which it does once. */
  mid: string | null;
  /** Candidates that came, with those before the description they belong to. */
  candidates: number;
  readonly early: RTCIceCandidateInit[];
  /** Signals are taken one after the other. */
  tail: Promise<void>;
}

/** The page's peer connections: only a page has them. What flows in them is the engine's. */
export class Connections {
  readonly #iceServers: RTCIceServer[];
  #relay: RTCIceServer[] = [];
  readonly #events: ConnectionEvents;
  readonly #entries = new Map<number, Entry>();
  #freedSoFar = 0;
  /** Refers to no connection, or none would ever be gone. */
  readonly #gone = () => this.#freed();

  constructor(iceServers: RTCIceServer[], events: ConnectionEvents) {
    this.#iceServers = iceServers;
    this.#events = events;
  }

  /** Connections that exist. */
  get count(): number {
    return this.#entries.size;
  }

  /** The relay answers STUN at this address: connections made from now on ask there. */
  setStun(urls: string): void {
    this.#relay = [{ urls }];
  }

  open(connection: number, offerer: boolean): void {
    const timer = setTimeout(() => this.#fail(connection), CONNECT_WITHIN_MS);
    const entry: Entry = { offerer, rtc: null, timer, answers: 0, mid: null, candidates: 0, early: [], tail: Promise.resolve() };
    this.#entries.set(connection, entry);
    if (!offerer) return;
    if (this.#make(connection, entry)) this.#queue(connection, entry, () => this.#describe(connection, entry));
    else this.#fail(connection);
  }

  /** Takes what the other end sent. Whatever is no signal that was due ends the connection. */
  signal(connection: number, text: string): void {
    const entry = this.#entries.get(connection);
    if (!entry) return;
    const signal = readSignal(text);
    if (!signal || !takes(entry, signal)) return this.#fail(connection);
    if (signal.type === "candidate" && signal.candidate === "") return;
    if (signal.type === "offer" && !this.#make(connection, entry)) return this.#fail(connection);
    this.#queue(connection, entry, () => this.#take(connection, entry, signal));
  }

  close(connection: number): void {
    const entry = this.#entries.get(connection);
    if (!entry) return;
    this.#entries.delete(connection);
    clearTimeout(entry.timer);
    const { rtc } = entry;
    entry.rtc = null;
    if (!rtc) return this.#freed();
    rtc.onicecandidate = rtc.onconnectionstatechange = rtc.ondatachannel = null;
    release(rtc);
  }

  closeAll(): void {
    for (const connection of [...this.#entries.keys()]) this.close(connection);
  }

  /** The browser holds nothing any more of one that was opened. */
  #freed(): void {
    this.#freedSoFar += 1;
    this.#events.budget(HELD_MAX + this.#freedSoFar);
  }

  #make(connection: number, entry: Entry): boolean {
    const rtc = make({ iceServers: [...this.#relay, ...this.#iceServers] }, this.#gone);
    if (!rtc) return false;
    entry.rtc = rtc;
    rtc.onicecandidate = ({ candidate }) => {
      if (!candidate?.candidate) return;
      this.#send(connection, { type: "candidate", candidate: candidate.candidate, mid: candidate.sdpMid });
    };
    rtc.onconnectionstatechange = () => {
      if (rtc.connectionState === "connected") this.#look(connection, entry, 0);
      if (rtc.connectionState === "failed" || rtc.connectionState === "closed") this.#fail(connection);
    };
    // There is one channel, which both ends know of: who opens another speaks another language.
    rtc.ondatachannel = () => this.#fail(connection);
    this.#events.channel(connection, rtc.createDataChannel("peeredge", { negotiated: true, id: 0, ordered: true }));
    return true;
  }

  #look(connection: number, entry: Entry, looks: number): void {
    clearTimeout(entry.timer);
    if (this.#entries.get(connection) !== entry) return;
    const rounds = Math.max(1, this.#entries.size / LOOKED_AT_ONCE);
    const afterMs = rounds * (looks * rounds < EARLY_LOOKS ? LOOK_EARLY_MS : LOOK_LATER_MS);
    entry.timer = setTimeout(() => this.#look(connection, entry, looks + 1), afterMs);
    void (entry.rtc ? roundTrip(entry.rtc) : Promise.resolve(null)).then((found) => {
      // One that was told already says nothing of now.
      if (!found || found.answers === entry.answers || !this.#entries.has(connection)) return;
      entry.answers = found.answers;
      this.#events.roundTrip(connection, found.ms);
    });
  }

  async #take(connection: number, entry: Entry, signal: Signal): Promise<void> {
    const { rtc, early } = entry;
    if (!rtc && signal.type !== "candidate") return;
    if (signal.type === "candidate") {
      const candidate = { candidate: signal.candidate, sdpMid: signal.mid };
      if (rtc?.remoteDescription) await addCandidate(rtc, candidate);
      else early.push(candidate);
      return;
    }
    await rtc?.setRemoteDescription({ type: signal.type, sdp: signal.sdp });
    for (const candidate of early.splice(0)) if (entry.rtc) await addCandidate(entry.rtc, candidate);
    if (signal.type === "offer") await this.#describe(connection, entry);
  }

  async #describe(connection: number, { rtc }: Entry): Promise<void> {
    await rtc?.setLocalDescription();
    const description = rtc?.localDescription;
    if (!description || (description.type !== "offer" && description.type !== "answer")) return;
    this.#send(connection, { type: description.type, sdp: description.sdp });
  }

  #send(connection: number, signal: object): void {
    if (this.#entries.has(connection)) this.#events.signal(connection, JSON.stringify(signal));
  }

  #queue(connection: number, entry: Entry, job: () => Promise<void>): void {
    entry.tail = entry.tail.then(() => (this.#entries.get(connection) === entry ? job() : undefined));
    entry.tail = entry.tail.catch(() => this.#fail(connection));
  }

  #fail(connection: number): void {
    if (!this.#entries.has(connection)) return;
    this.close(connection);
    this.#events.closed(connection);
  }
}

/** The last round trip of the connectivity checks on the path in use. */
async function roundTrip(rtc: RTCPeerConnection): Promise<{ ms: number; answers: number } | null> {
  const report = await rtc.getStats().catch(() => null);
  const pair = report && selectedPair(report);
  const seconds = pair?.currentRoundTripTime;
  return seconds ? { ms: seconds * 1000, answers: pair?.responsesReceived ?? 0 } : null;
}

/** The pair of addresses that carries the data. Several may be nominated, while only one goes on being checked; not every browser says which. */
export function selectedPair(report: RTCStatsReport): RTCIceCandidatePairStats | undefined {
  let selected: string | undefined;
  let nominated: RTCIceCandidatePairStats | undefined;
  report.forEach((entry: RTCTransportStats & RTCIceCandidatePairStats) => {
    if (entry.type === "transport") selected = entry.selectedCandidatePairId;
    if (entry.type === "candidate-pair" && entry.nominated) nominated = entry;
  });
  return (selected && (report.get(selected) as RTCIceCandidatePairStats | undefined)) || nominated;
}

/** One candidate that this browser does not understand (another's mDNS name, a new transport) must not end the connection. */
async function addCandidate(rtc: RTCPeerConnection, candidate: RTCIceCandidateInit): Promise<void> {
  await rtc.addIceCandidate(candidate).catch(() => undefined);
}

/** Whether this signal was due: one description of the right kind, and candidates, as many as an honest end may have. Notes it. */
function takes(entry: Entry, signal: Signal): boolean {
  if (signal.type === "candidate") {
    if (signal.mid !== null && entry.mid !== null && signal.mid !== entry.mid) return false;
    return (entry.candidates += 1) <= 2 * CANDIDATES_MAX;
  }
  if (entry.mid !== null || (signal.type === "offer") === entry.offerer) return false;
  entry.mid = signal.mid;
  return true;
}
