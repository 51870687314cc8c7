/** Bytes in a channel's queue and unspent credit, together. The browser closes a channel whose queue passes 16 MiB. */
export const QUEUE_BYTES_MAX = 1 << 20;
const REFILL_BELOW_BYTES = QUEUE_BYTES_MAX / 2;

export interface ChannelEvents {
  opened(connection: number, creditBytes: number): void;
  message(connection: number, message: Uint8Array): void;
  credit(connection: number, bytes: number): void;
  closed(connection: number): void;
}

interface Open {
  channel: RTCDataChannel;
  unspent: number;
}

/** The data channels, each with the credit that its queue allows. */
export class Channels {
  readonly #events: ChannelEvents;
  readonly #open = new Map<number, Open>();

  constructor(events: ChannelEvents) {
    this.#events = events;
  }

  get count(): number {
    return this.#open.size;
  }

  /** Takes a channel, fresh from the page. */
  add(connection: number, channel: RTCDataChannel): void {
    const entry: Open = { channel, unspent: 0 };
    this.#open.set(connection, entry);
    channel.binaryType = "arraybuffer";
    channel.bufferedAmountLowThreshold = REFILL_BELOW_BYTES;
    const opened = () => {
      entry.unspent = QUEUE_BYTES_MAX;
      this.#events.opened(connection, QUEUE_BYTES_MAX);
    };
    channel.onopen = opened;
    channel.onclose = () => this.#lost(connection);
    channel.onbufferedamountlow = () => this.#refill(connection, entry);
    channel.onmessage = (event: MessageEvent<unknown>) => {
      // A text or a blob is no frame of ours: an empty one is refused like any other garbage.
      const bytes = event.data instanceof ArrayBuffer ? new Uint8Array(event.data) : new Uint8Array(0);
      this.#events.message(connection, bytes);
    };
    if (channel.readyState === "open") opened();
    else if (channel.readyState === "closed") this.#lost(connection);
  }

  send(connection: number, message: Uint8Array<ArrayBuffer>): void {
    const entry = this.#open.get(connection);
    if (!entry) return;
    try {
      entry.channel.send(message);
    } catch {
      this.#lost(connection);
      return;
    }
    entry.unspent -= message.byteLength;
    // A queue that never rose above the threshold does not announce that it fell below it.
    if (entry.unspent < REFILL_BELOW_BYTES && entry.channel.bufferedAmount <= REFILL_BELOW_BYTES) {
      this.#refill(connection, entry);
    }
  }

  close(connection: number): void {
    const entry = this.#open.get(connection);
    if (!entry) return;
    this.#open.delete(connection);
    const { channel } = entry;
    channel.onopen = channel.onclose = channel.onmessage = channel.onbufferedamountlow = null;
    channel.close();
  }

  closeAll(): void {
    for (const connection of [...this.#open.keys()]) this.close(connection);
  }

  #refill(connection: number, entry: Open): void {
    const bytes = QUEUE_BYTES_MAX - entry.channel.bufferedAmount - entry.unspent;
    if (bytes <= 0) return;
    entry.unspent += bytes;
    this.#events.credit(connection, bytes);
  }

  #lost(connection: number): void {
    if (!this.#open.has(connection)) return;
    this.close(connection);
    this.#events.closed(connection);
  }
}
