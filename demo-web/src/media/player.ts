import { h } from "../dom.ts";
import { HEAD_BYTES, kindOf, streamTypeOf, type MediaKind } from "./kind.ts";

/**
 * Shows one content: while it arrives, where its form allows that, else when it is whole. Everything shown comes from verified
 * bytes in this page, never from a server.
 */
export class Player {
  readonly element = h("div", { class: "player", hidden: true });
  #kind: MediaKind = "file";
  #type = "";
  #media: HTMLMediaElement | HTMLImageElement | null = null;
  #url: string | null = null;
  #stream: StreamedMedia | null = null;
  #head: Uint8Array<ArrayBuffer>[] = [];
  #headBytes = 0;

  /** Whether media is on show. */
  get showing(): boolean {
    return !this.element.hidden;
  }

  /** What comes is of this type. */
  begin(mediaType: string): void {
    this.clear();
    this.#kind = kindOf(mediaType);
    this.#type = mediaType;
  }

  /** The next bytes, in order. */
  chunk(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#kind !== "video" && this.#kind !== "audio") return;
    if (this.#stream) return this.#stream.append(bytes);
    if (this.#headBytes >= HEAD_BYTES) return;
    this.#head.push(bytes);
    this.#headBytes += bytes.byteLength;
    if (this.#headBytes >= HEAD_BYTES) this.#tryStream();
  }

  /** All bytes. */
  finish(blob: Blob): void {
    this.#head = [];
    if (this.#stream?.finish()) return;
    this.#stream = null;
    this.#show(blob);
  }

  clear(): void {
    this.element.hidden = true;
    this.element.replaceChildren();
    if (this.#url) URL.revokeObjectURL(this.#url);
    this.#url = this.#media = this.#stream = null;
    this.#head = [];
    this.#headBytes = 0;
  }

  #tryStream(): void {
    const head = new Uint8Array(this.#headBytes);
    let at = 0;
    for (const bytes of this.#head) {
      head.set(bytes, at);
      at += bytes.byteLength;
    }
    this.#head = [];
    const type = streamTypeOf(this.#type, head);
    if (!type || typeof MediaSource !== "function" || !MediaSource.isTypeSupported(type)) return;
    const media = this.#mediaElement();
    this.#stream = new StreamedMedia(media, type);
    this.#url = media.src;
    this.#stream.append(head);
    this.#mount(media);
  }

  #show(blob: Blob): void {
    if (this.#kind === "file") return;
    if (this.#url) URL.revokeObjectURL(this.#url);
    this.#url = URL.createObjectURL(blob);
    const media = this.#kind === "image" ? h("img", { alt: "" }) : this.#mediaElement();
    // A browser that lacks the codec shows the file's card instead.
    media.addEventListener("error", () => (this.element.hidden = true));
    media.src = this.#url;
    this.#mount(media);
  }

  #mediaElement(): HTMLMediaElement {
    const media = this.#kind === "audio" ? h("audio") : h("video", { playsinline: true });
    media.controls = true;
    media.muted = this.#kind === "video";
    media.autoplay = this.#kind === "video" && !matchMedia("(prefers-reduced-motion: reduce)").matches;
    return media;
  }

  #mount(media: HTMLMediaElement | HTMLImageElement): void {
    this.#media = media;
    this.element.replaceChildren(media);
    this.element.hidden = false;
  }
}

/** Media that plays while it arrives. Whatever goes wrong leaves the whole file for the end. */
class StreamedMedia {
  readonly #source = new MediaSource();
  readonly #waiting: Uint8Array<ArrayBuffer>[] = [];
  #buffer: SourceBuffer | null = null;
  #ended = false;
  #failed = false;

  constructor(media: HTMLMediaElement, type: string) {
    media.src = URL.createObjectURL(this.#source);
    media.addEventListener("error", () => (this.#failed = true));
    this.#source.addEventListener("sourceopen", () => {
      try {
        this.#buffer = this.#source.addSourceBuffer(type);
        this.#buffer.addEventListener("updateend", () => this.#next());
        this.#next();
      } catch {
        this.#failed = true;
      }
    });
  }

  append(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#failed) return;
    this.#waiting.push(bytes);
    this.#next();
  }

  /** Whether the stream goes on by itself to its end. */
  finish(): boolean {
    this.#ended = true;
    this.#next();
    return !this.#failed;
  }

  #next(): void {
    const buffer = this.#buffer;
    if (!buffer || buffer.updating || this.#failed || this.#source.readyState !== "open") return;
    const bytes = this.#waiting.shift();
    try {
      if (bytes) buffer.appendBuffer(bytes);
      else if (this.#ended) this.#source.endOfStream();
    } catch {
      // The browser keeps only so much of a stream; the rest is for the whole file.
      this.#failed = true;
      this.#waiting.length = 0;
    }
  }
}
