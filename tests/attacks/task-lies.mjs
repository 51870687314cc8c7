// Workers that lie: what a tab does so that the real peer in it, on the page's thread, gives a wrong answer.

/** What a tab does so that its peer lies; each runs in the page before the peer is made. */
export const LIES = {
  "another content in place of the output": () => {
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (data) {
      let frame = new Uint8Array(data).slice();
      // A reveal: tag, lease, end, gas, digest, nonce, signature, then the output.
      const fixed = 1 + 8 + 1 + 8 + 32 + 32 + 64;
      if (frame[0] === 0x25) frame = Uint8Array.from([...frame.subarray(0, fixed), 1, ...new Uint8Array(32).fill(7)]);
      send.call(this, frame);
    };
  },
  "other bytes in place of the output": () => {
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (data) {
      const frame = new Uint8Array(data).slice();
      if (frame[0] === 0x25) frame[frame.length - 1] ^= 1;
      send.call(this, frame);
    };
  },
  "another digest than was committed to": () => {
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (data) {
      const frame = new Uint8Array(data).slice();
      if (frame[0] === 0x25) frame[1 + 8 + 1 + 8] ^= 1;
      send.call(this, frame);
    };
  },
  "a wrong output, committed to and signed": () => {
    const set = Object.getOwnPropertyDescriptor(Worker.prototype, "onmessage").set;
    Object.defineProperty(Worker.prototype, "onmessage", {
      set(heard) {
        set.call(this, (event) => {
          if (event.data?.type === "ran" && event.data.ran.output.length > 0) event.data.ran.output[0] ^= 1;
          heard.call(this, event);
        });
      },
    });
  },
};

/** In a tab, before its peer is made: whatever task it is given, it answers with this byte at once, and runs nothing. */
export const ANSWERS_AT_ONCE = (value) => {
  const Real = Worker;
  globalThis.Worker = class {
    constructor(url, options) {
      if (!String(url).includes("task-worker")) return new Real(url, options);
    }
    postMessage() {
      setTimeout(() => this.onmessage?.({ data: { type: "ran", ran: { end: 0, output: Uint8Array.of(value), gas: 5n } } }));
    }
    terminate() {}
  };
};
