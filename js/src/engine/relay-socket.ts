export interface RelayEvents {
  opened(): void;
  message(frame: Uint8Array): void;
  closed(): void;
}

const OPEN_WITHIN_MS = 10_000;
/** As `RELAY_FRAME_BYTES_MAX` of the wire format. */
const FRAME_BYTES_MAX = 32 * 1024;

/** The one WebSocket to the relay. */
export class RelaySocket {
  readonly #url: string;
  readonly #events: RelayEvents;
  #socket: WebSocket | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `relay`: the relay's http address, without a slash at its end. */
  constructor(relay: string, events: RelayEvents) {
    this.#url = `${relay.replace(/^http/, "ws")}/ws`;
    this.#events = events;
  }

  connect(): void {
    this.close();
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      clearTimeout(this.#timer);
      this.#events.opened();
    };
    socket.onmessage = (event: MessageEvent<unknown>) => {
      // What cannot be a frame is not even copied.
      if (!(event.data instanceof ArrayBuffer) || event.data.byteLength > FRAME_BYTES_MAX) return this.#lost();
      this.#events.message(new Uint8Array(event.data));
    };
    socket.onclose = () => this.#lost();
    // A relay that takes the connection and then says nothing would otherwise be waited for without end.
    this.#timer = setTimeout(() => this.#lost(), OPEN_WITHIN_MS);
  }

  send(frame: Uint8Array<ArrayBuffer>): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(frame);
  }

  close(): void {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(1000);
  }

  #lost(): void {
    this.close();
    this.#events.closed();
  }
}
