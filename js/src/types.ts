/** Public types of the package, written by hand. Sizes are bytes, rates are bytes a second, times are milliseconds. */

/**
 * What the visitor answered. Only `"granted"` opens a socket, a connection, a worker or a store; until then every request
 * fails with the code `consent_required`. It can change later: see {@link Peer.setConsent}.
 */
export type Consent = "granted" | "denied" | "pending";

/** Options of {@link createPeer}. Only `relay` and `consent` must be given. */
export interface PeerOptions {
  /** The relay's `http:` or `https:` address, without a path. */
  relay: string | URL;
  /** What the visitor answered. */
  consent: Consent;
  /** What the visitor allows. Default: no limit but 40 connections; see {@link Caps}. */
  caps?: Partial<Caps>;
  /** Whether this tab runs tasks of others, and how much. A consent of its own: by default it runs none. */
  compute?: Partial<Compute>;
  /** Where content is kept. Default: the origin's private file system where there is one, with at most 1 GiB. */
  store?: StoreOptions;
  /**
   * `false` runs the engine on the page's thread. By default it runs in a dedicated worker where the browser can hand data
   * channels to one, and in the page elsewhere.
   */
  worker?: boolean;
  /**
   * `"direct"` (default): peers exchange bytes with each other where they find a path, for which they learn each other's
   * addresses. `"relay"`: no peer learns an address of this visitor; no peer connection is made, bytes pass through the relay
   * where it carries any, and come by HTTP.
   */
  privacy?: "direct" | "relay";
  /**
   * Servers for WebRTC to find paths with (`RTCConfiguration.iceServers`), beside the relay itself, which answers STUN. Default:
   * none, so no third party learns of visitors.
   */
  iceServers?: RTCIceServer[];
  /** Settings that few sites need. */
  tuning?: Partial<Tuning>;
}

/** What the visitor allows. Payload bytes count; protocol overhead is a few percent more. */
export interface Caps {
  /** Whether this peer gives bytes to others at all. Default `true`. */
  upload: boolean;
  /** To all peers together, in bytes a second. Default `Infinity`. */
  uploadBytesPerSecond: number;
  /** To all peers together until {@link Peer.close}. Default `Infinity`. */
  uploadBytes: number;
  /** Peer connections at a time, several to one peer included, 0 to 64. Default 40. */
  connections: number;
  /**
   * Bytes of the store that the relay may fill ahead of demand with what its operator published, while this page wants nothing
   * itself. Default 0: ask the visitor before you set it.
   */
  prefetchBytes: number;
  /**
   * Whether to give bytes on a metered connection, as far as the browser tells (`navigator.connection`: cellular, or data saver
   * on). Default `false`.
   */
  uploadOnMetered: boolean;
  /**
   * Whether to give bytes when the battery is below a fifth and not charging, as far as the browser tells. Default `false`.
   */
  uploadOnLowBattery: boolean;
}

/** What the visitor allows of computing. */
export interface Compute {
  /**
   * Whether tasks of others run in this tab at all. Default `false`. What a visitor agrees to says whose they are: those that pages of
   * this origin hand in, or with `anybody` those of everyone whom the relay's operator lets (its setting `tasks`).
   */
  allowed: boolean;
  /** Tasks at a time, each in a worker of its own, 1 to 64. Default: half of the cores, at most 8. */
  slots: number;
  /** Thousandths of the time in which each computes. Default 500; halved while the device gets slower, so that it can cool. */
  dutyPermille: number;
  /** Memory that each may have, in bytes. Default 64 MiB. */
  memoryBytes: number;
  /**
   * Whether tasks of anybody whom the relay lets hand in are taken. Default `false`: only those of pages of this page's own origin.
   */
  anybody: boolean;
  /** Whether tasks are taken while the page is hidden. Default `false`. */
  whileHidden: boolean;
  /** Whether tasks are taken when the battery is below a fifth and not charging. Default `false`. */
  onLowBattery: boolean;
}

/** What this tab did for others. */
export interface Computed {
  /** Runs answered. */
  tasks: number;
  /** Gas of them. */
  gas: number;
  /** Runs going on. */
  running: number;
  /** Of late, while computing; 0 before the first run. */
  gasPerSecond: number;
  /** Whether the device got clearly slower, as by heat. */
  backingOff: boolean;
}

/** How sure a result is: about one wrong in 1,000 for little more than one run each, or about one in 100,000 for two. */
export type TaskAssurance = "cheap" | "strict";

/** Options of {@link Peer.run}. */
export interface RunOptions {
  /** Gives the task up. */
  signal?: AbortSignal | null;
  /** Told each time when a run is given to somebody. */
  onProgress?: (progress: TaskProgress) => void;
  /** Equal answers of distinct owners that are needed, 1 to 32. Default 2. */
  replicas?: number;
  /** Instead of a number of replicas: votes by the workers' records. Results may be kept back for minutes until they are sure. */
  assurance?: TaskAssurance;
  /** Gas that a run may use, 1 to 2^62; above 2^53 as a bigint. Default 100 billion, about a minute of one core. */
  gas?: number | bigint;
  /** Memory that it may grow to, in bytes, at most 4 GiB; the input has to fit in. Default 64 MiB. */
  memoryBytes?: number;
  /** Bytes that the output may have. Default 16 MiB. */
  outputBytes?: number;
  /** Steps between two checkpoints, at most one a second, from which the task goes on elsewhere when its tab is closed. Default 0: never. */
  checkpointSteps?: number;
  /** Goes first among this peer's own tasks: the higher, the earlier. Default 0. */
  value?: number;
}

/** A run was given to somebody. */
export interface TaskProgress {
  /** Runs given so far. */
  runs: number;
  /** To whom. */
  worker: string;
}

/** What {@link Peer.run} gives. */
export interface TaskResult {
  /** What the task put out. */
  output: Uint8Array;
  /** Gas of one run: the same on every device. A bigint, as it may be above 2^53. */
  gas: bigint;
  /** Runs that were given for it. */
  runs: number;
  /** Whether the relay ran it itself to decide. */
  refereed: boolean;
  /**
   * How likely the answer is wrong by the relay's reckoning, from 0 (it ran the task itself) to 1. Two strangers' votes leave about
   * 0.04; `cheap` and `strict` promise what their names stand for.
   */
  doubt: number;
  /** Whose answers agree. */
  workers: string[];
}

/** Where content is kept. */
export interface StoreOptions {
  /**
   * `"opfs"`: the origin private file system, which survives a reload (an error where there is none); `"memory"`: until
   * {@link Peer.close}; `"auto"` (default): the first where possible, else the second.
   */
  kind?: "auto" | "opfs" | "memory";
  /**
   * Bytes at most; the least recently used content goes first. Default 1 GiB, and never more than half of what the browser
   * grants the origin. In memory: 256 MiB.
   */
  bytes?: number;
}

/** Settings that few sites need. */
export interface Tuning {
  /** Bytes of blocks in memory. Default 64 MiB. */
  cacheBytes: number;
  /** Whether plain HTTP from the relay may be used when peers cannot meet a deadline. Default `true`. */
  http: boolean;
  /** How long a reader waits for peers before HTTP is asked as well. Default 400 ms. */
  httpAfterMs: number;
  /** Without any progress for so long, a request fails with `unavailable`. Default 30,000 ms. */
  giveUpAfterMs: number;
  /** Thousandths of a block asked as coded symbols from holders of the whole block, 0 to 1000. Default 0. */
  codedPermille: number;
  /**
   * Without a direct path to a peer for so long, bytes may pass through the relay as well, if it carries any. Default 5000 ms.
   */
  throughRelayAfterMs: number;
  /** Between two `progress` events. Default 250 ms. */
  progressEveryMs: number;
}

/** Which bytes of a content; both ends inclusive, as in an HTTP range header. */
export type Range = { start: number; end?: number } | { last: number };

/** Options of {@link Peer.fetch}. */
export interface FetchOptions {
  /** Aborts the request, before or while its body is read. */
  signal?: AbortSignal | null;
  /** Only `Range` is looked at; one range of the unit `bytes`. */
  headers?: HeadersInit;
  /** The same as a `Range` header, and goes before it. */
  range?: Range;
  /**
   * Where an ordinary server, such as the site's own, has the same bytes: `http:` or `https:`, with support of ranges, and with CORS
   * if it is elsewhere. Asked instead of the relay where plain HTTP is needed. If it sends other bytes it is not asked again, and
   * what it sent is thrown away. A promise keeps it in reserve: it is asked once the promise has resolved, and until then only peers
   * and the relay are.
   */
  origin?: string | URL | Promise<string | URL>;
  /**
   * How fast the bytes are played, for media: then each has a deadline, and only what will be played within seconds is worth plain
   * HTTP when peers are slow. Default: all of it is wanted as soon as possible, never later than by plain HTTP.
   */
  bytesPerSecond?: number;
}

/** Options of {@link Peer.head}. */
export type HeadOptions = Pick<FetchOptions, "signal" | "headers" | "range">;

/** Options of {@link Peer.publish}. */
export interface PublishOptions {
  /**
   * At most 255 bytes in UTF-8; not empty, `.` or `..`, and without control characters and lone surrogates. Default: the file's name,
   * else `"content"`.
   */
  name?: string;
  /** At most 127 printable characters of ASCII. Default: the blob's type, else `"application/octet-stream"`. */
  type?: string;
  /** Called as bytes are hashed and stored. */
  onProgress?: (progress: PublishProgress) => void;
  /** Stops; nothing is kept. */
  signal?: AbortSignal | null;
}

/** How far a publish has come. */
export interface PublishProgress {
  /** Bytes hashed. */
  doneBytes: number;
  /** Bytes of the file. */
  lengthBytes: number;
}

/** What {@link Peer.publish} gives. */
export interface Published {
  /** Self-certifying: whoever delivers the bytes need not be trusted. Any HTTP client can open it at the relay, too. */
  link: string;
  /** The content's id: 52 characters. */
  content: string;
  /** Bytes. */
  length: number;
  /** As published. */
  name: string;
  /** As published. */
  type: string;
  /** `false` when the store had no room: then this tab serves it from the file itself, until it is closed. */
  stored: boolean;
}

/** Options of {@link Peer.publishLive}. */
export interface LiveOptions {
  /** Part of the link, as {@link PublishOptions.name}. Publishing under the same name again takes over from the broadcast before. */
  name: string;
  /** Media type of the parts. Default: each blob's own. */
  type?: string;
}

/** What {@link Peer.publishLive} gives. */
export interface LivePublishing {
  /** `peeredge-live:KEY/NAME`: this peer's public key, and the name. */
  readonly link: string;
  /**
   * Publishes one more part, and signs the list that it extends. Parts come in the order of the calls. `durationMs`: how long it
   * plays.
   *
   * @throws {PeerEdgeError} As {@link Peer.publish}.
   */
  append(part: Blob, options?: { durationMs?: number }): Promise<Published>;
  /** Nothing more follows. @throws {PeerEdgeError} `consent_required`, `closed`. */
  end(): Promise<void>;
}

/** Parts that were missed: by a reader that let 1024 wait, or a peer that was away for more than 64, or while another broadcast began. */
export interface LiveGap {
  /** The first of them; 0 in another broadcast than before. */
  from: number;
  /** The first behind them. */
  to: number;
  /**
   * Whether what follows is proved to extend the list that was followed before. `false` after more than 64: then only the publisher's
   * signature ties the two, and it may have signed another list meanwhile: take it for the beginning of something else.
   */
  checked: boolean;
}

/** One part of a live content. */
export interface LivePart {
  /** Its content id. */
  content: string;
  /** Its link, for {@link Peer.fetch}. */
  link: string;
  /**
   * The first part of a broadcast is 0. A number below the one before begins another broadcast under the same name; one that is
   * left out was missed, which {@link gap} says.
   */
  number: number;
  /** What was missed between the part before and this one; `null` where nothing was, and at the beginning. */
  gap: LiveGap | null;
  /** Bytes. */
  length: number;
  /** How long it plays; 0 when it does not. */
  durationMs: number;
}

/** A visitor's peer. Made by {@link createPeer}. */
export interface Peer {
  /**
   * This peer's public key, 52 characters; `null` until the first consent, and when the visitor was forgotten. A tab has a new one
   * with each visit, which outlives a reload and nothing else. Only for what goes on over visits a key is kept in the store: one for
   * {@link publishLive}, and one for {@link Compute}.
   */
  readonly id: string | null;
  /** As given or set last. */
  readonly consent: Consent;
  /** As given or set last, complete. */
  readonly caps: Readonly<Caps>;
  /** Whether {@link close} was called, or the engine failed. */
  readonly closed: boolean;

  /**
   * Gets a content, or a range of it, from peers, the relay and plain HTTP at once. Every byte is verified against the link
   * before it is delivered.
   *
   * Resolves with a `Response` when the content's manifest is known: status 200, 206 for a range, 416 for one behind the end;
   * `Content-Type`, `Content-Length`, `Accept-Ranges`, `Content-Range`, `ETag`. The body streams, and is pulled: what is not read
   * is not fetched, but for 4 MiB ahead. Of these, twice what was read so far waits in the page: 256 KiB at first, 4 MiB at most,
   * and 48 MiB for all of its responses together. Cancel a body that you do not read, or ask for the {@link head} only. If the rest
   * becomes unavailable, reading it fails with a {@link PeerEdgeError}.
   *
   * A publisher may be a stranger: types that a browser would run (HTML, SVG, XML, scripts, style sheets, PDF and others) become
   * `application/octet-stream`, and in the name of `Content-Disposition` control characters and those that turn the direction of
   * text are replaced. If you show a name or make a `Blob` with another type, that is your word, not the response's.
   *
   * @param link `peeredge:ID`, or `https://RELAY/c/ID/NAME`: only the id counts, and it is this peer's own relay that is asked. Of a
   *   live link the body is its parts one behind the other, from the last 64 on until it ends; a range is ignored.
   * @throws {PeerEdgeError} `invalid_link`, `consent_required`, `unavailable`, `manifest_invalid`, `blocks_too_large`, `closed`,
   * `internal`.
   * @throws The signal's reason (a `DOMException` named `AbortError` by default) after an abort.
   */
  fetch(link: string | URL, options?: FetchOptions): Promise<Response>;

  /**
   * Status and headers that {@link fetch} would give, without a body: nothing but the manifest is fetched.
   *
   * @throws {PeerEdgeError} `invalid_link`, `invalid_option`, `consent_required`, `unavailable`, `manifest_invalid`, `closed`,
   * `internal`.
   * @throws The signal's reason after an abort.
   */
  head(link: string | URL, options?: HeadOptions): Promise<Response>;

  /**
   * Makes a link for a file, and serves it from this tab until {@link remove} or {@link close}; from the store again after a
   * reload. The file is read once, in pieces.
   *
   * @throws {PeerEdgeError} `invalid_option` (name, type or size), `unreadable`, `consent_required`, `closed`, `internal`.
   * @throws The signal's reason after an abort.
   */
  publish(file: Blob, options?: PublishOptions): Promise<Published>;

  /**
   * Begins a content that grows: its link names this peer's key, and every extension is signed by it. The key is kept in the store
   * from then on, so that the link goes on after a visit. If this store has published live before, in another visit, the peer begins
   * anew with that key: {@link id} changes, and requests under way fail with `closed`. So call it first.
   *
   * @throws {PeerEdgeError} `invalid_option`, `consent_required`, `closed`.
   */
  publishLive(options: LiveOptions): Promise<LivePublishing>;

  /**
   * Follows a content that grows: gives its parts as they come, each once and in order, from the last 64 on, and ends with it.
   * Waits without end while the publisher is silent: abort it, or leave the loop. Nobody but the link's key can add a part, and it can
   * take none back from who follows: that ends the iterator with `live_forked`. What this cannot see is whether two followers are shown
   * the same parts. Where the publisher's clock is more than ten minutes behind this one, nothing is seen of it.
   *
   * @throws {PeerEdgeError} `invalid_link`, `consent_required`, `closed`; later from the iterator: the same, `live_forked`, or the
   *   signal's reason.
   */
  followLive(link: string | URL, options?: { signal?: AbortSignal | null }): Promise<AsyncIterableIterator<LivePart>>;

  /**
   * Stops serving a content and removes it from the store. Requests for it that are under way fail with `unavailable`.
   *
   * @param content The id, or a link.
   * @throws {PeerEdgeError} `invalid_link`, `consent_required`, `closed`, `internal`.
   */
  remove(content: string | URL): Promise<void>;

  /**
   * Has a task run by others: browsers whose visitors agreed, and native nodes. The result is one on which several agreed, with
   * the same output and the same gas.
   *
   * @param task The module: its bytes, which this tab then shares, or the link of a published one. See `docs/task-abi.md`.
   * @param input Its input; a text becomes UTF-8.
   * @throws {PeerEdgeError} `task_refused` (the module is no task), `task_failed` (it ended in a trap, or met a limit; `cause` has
   * `end` and `gas`), `no_worker`, `nobody_fits`, `task_trouble`, `task_disputed`, `tasks_off`, `tasks_not_allowed`,
   * `too_many_tasks`, `task_quota`, `task_limits`, `invalid_option` (a limit that
   * cannot hold, such as an input larger than the memory), `aborted` (`cause` is the signal's reason), `consent_required`,
   * `unavailable`, `closed`, `internal`. Nothing else, and limits are told before anything is done.
   */
  run(task: string | URL | Uint8Array | Blob, input: Uint8Array | string, options?: RunOptions): Promise<TaskResult>;

  /** What the visitor allows of computing, as given or set last, complete. */
  readonly compute: Readonly<Compute>;

  /**
   * Changes what the visitor allows of computing, from now on. `{ allowed: false }` ends every run in this tab at once.
   *
   * @throws {PeerEdgeError} `invalid_option`, `closed`.
   */
  setCompute(compute: Partial<Compute>): Promise<void>;

  /** What this tab did for others since it was opened. */
  computed(): Promise<Computed>;

  /**
   * A picture of this moment. All zero before the first consent.
   *
   * @throws {PeerEdgeError} `closed`, `internal`.
   */
  stats(): Promise<Stats>;

  /**
   * Changes what the visitor allows, from now on. What is left out stays as it is.
   *
   * @throws {PeerEdgeError} `invalid_option`, `closed`.
   */
  setCaps(caps: Partial<Caps>): void;

  /**
   * The visitor's new answer. `"granted"` connects, if that was not done already, and resolves when the engine runs. Anything
   * else closes every socket, connection, store and worker within a second, and fails what is under way with `consent_required`.
   * `"denied"` after `"granted"` also forgets the visitor, as {@link forget} does; `"pending"` leaves the store as it is.
   *
   * @throws {PeerEdgeError} `unsupported`, `closed`, `storage`, `internal`.
   */
  setConsent(consent: Consent): Promise<void>;

  /**
   * Forgets the visitor: ends as without consent, and deletes keys and contents of this tab and of tabs that are gone from the
   * origin's private file system. What other open tabs hold is theirs. Consent becomes `"pending"` if it was granted. Never rejects.
   */
  forget(): Promise<void>;

  /** Says goodbye. Afterwards no socket, connection, worker or timer is left. Never rejects; calling it again is harmless. */
  close(): Promise<void>;

  addEventListener<K extends keyof PeerEvents>(
    type: K,
    listener: (event: CustomEvent<PeerEvents[K]>) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<K extends keyof PeerEvents>(
    type: K,
    listener: (event: CustomEvent<PeerEvents[K]>) => void,
    options?: boolean | EventListenerOptions,
  ): void;
}

/** Events of a {@link Peer}: name and what `event.detail` holds. */
export interface PeerEvents {
  /** Every {@link Tuning.progressEveryMs} while bytes move in any direction, and once more when they stop. */
  progress: Stats;
  /** A data channel to a peer opened or closed. */
  peer: { peer: string; state: "opened" | "closed" };
  /** A peer sent bytes that contradict the link, which was proved; it is dropped and not spoken to again. */
  blame: { peer: string; content: string; block: number; coded: boolean };
  /** The relay accepted this peer, is gone (the peer tries again by itself), or refused something. */
  relay:
    | { state: "ready"; relay: string }
    | { state: "lost" }
    | { state: "refused"; code: string; detail: string };
  /** A content is held whole, and shared. */
  complete: { content: string };
  /** The peer failed and is closed. */
  error: PeerEdgeErrorLike;
}

/** What {@link Peer.stats} gives. Bytes are payload bytes since consent was granted last. */
export interface Stats {
  /** Whether the relay has accepted this peer. */
  relayConnected: boolean;
  /** Where the engine runs. */
  engine: "worker" | "page" | "none";
  /** Where content is kept. */
  store: "opfs" | "memory" | "none";
  /** Verified bytes from peers. */
  fromPeersBytes: number;
  /** Verified bytes from the relay's data channel. */
  fromRelayBytes: number;
  /** Verified bytes by HTTP. */
  fromHttpBytes: number;
  /** Of these, from the site's own server: see {@link FetchOptions.origin}. */
  fromOriginBytes: number;
  /** Bytes sent to peers. */
  sentBytes: number;
  /** Bytes that arrived for nothing: duplicates. */
  duplicateBytes: number;
  /** Bytes that failed verification. */
  rejectedBytes: number;
  /** Bytes from peers, with their overhead, that passed through the relay for want of a direct path. */
  throughRelayBytes: number;
  /** Peer connections made; a browser stops a tab at about 500. */
  connectionsMade: number;
  /** Peers with a connection, open or opening. */
  peers: PeerStats[];
  /** Contents held or wanted. */
  contents: ContentStats[];
}

/** One peer in {@link Stats}. */
export interface PeerStats {
  /** Its public key, 52 characters. */
  peer: string;
  /** Whether this is the relay's own seeding peer. */
  isRelay: boolean;
  /** Whether bytes can pass. */
  open: boolean;
  /** Whether they pass through the relay for want of a direct path. */
  throughRelay: boolean;
  /** Connections to it, open or opening: more than one where that gains something, 8 at most. */
  connections: number;
  /** Verified bytes received from it. */
  receivedBytes: number;
  /** Bytes sent to it. */
  sentBytes: number;
  /** Perceived rate from it. */
  downBytesPerSecond: number;
  /** Rate to it over the last second or so. */
  upBytesPerSecond: number;
}

/** One content in {@link Stats}. */
export interface ContentStats {
  /** Its id, 52 characters. */
  content: string;
  /** Its name; empty while the manifest is unknown. */
  name: string;
  /** Its media type; empty while the manifest is unknown. */
  type: string;
  /** Bytes; 0 while the manifest is unknown. */
  length: number;
  /** Verified bytes held, in memory or in the store. */
  heldBytes: number;
  /** Share held of each block, 0 to 255. */
  blocks: Uint8Array;
  /** Blocks that are being filled. */
  active: ActiveBlock[];
  /** Open requests of this page. */
  requests: number;
}

/** One block in memory that is being filled. */
export interface ActiveBlock {
  /** Its number. */
  block: number;
  /** Its source symbols. */
  symbols: number;
  /** One bit a source symbol that is verified, least significant first. */
  held: Uint8Array;
  /** Coded symbols in quarantine: not yet verified, so not used, stored or served. */
  quarantined: number;
}

/**
 * The stable codes of {@link PeerEdgeError}.
 *
 * | code | meaning |
 * |---|---|
 * | `unsupported` | this environment has no WebAssembly, WebSocket or WebRTC (Node, for instance), or forbids them |
 * | `consent_required` | the visitor's consent is missing, or was withdrawn |
 * | `closed` | the peer is closed |
 * | `invalid_option` | an option is wrong; the message names it |
 * | `invalid_link` | neither `peeredge:ID` nor `https://RELAY/c/ID` |
 * | `unavailable` | no peer, relay or server had the bytes in time |
 * | `manifest_invalid` | every holder's manifest contradicts the link |
 * | `blocks_too_large` | the link names a content whose blocks are larger than 64 MiB |
 * | `unreadable` | the file to publish cannot be read, or changed meanwhile |
 * | `storage` | the store that was asked for cannot be used |
 * | `aborted` | a task was given up by its signal, whose reason is the `cause` |
 * | `internal` | the engine failed; the peer is closed |
 */
export type ErrorCode =
  | "unsupported"
  | "consent_required"
  | "closed"
  | "invalid_option"
  | "invalid_link"
  | "unavailable"
  | "live_forked"
  | "manifest_invalid"
  | "blocks_too_large"
  | "unreadable"
  | "storage"
  | "task_refused"
  | "task_failed"
  | "task_trouble"
  | "task_disputed"
  | "task_limits"
  | "nobody_fits"
  | "tasks_not_allowed"
  | "task_quota"
  | "tasks_off"
  | "too_many_tasks"
  | "no_worker"
  | "aborted"
  | "internal";

/** The shape of {@link PeerEdgeError}. */
export interface PeerEdgeErrorLike extends Error {
  readonly code: ErrorCode;
}
