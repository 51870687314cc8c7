/** A playlist's piece, as hls.js's loaders are told of it. Times are seconds. */
export interface Piece {
  readonly start?: number;
  readonly duration?: number;
  readonly type?: string;
}

/** A seek, a gap: pieces further apart do not follow each other. */
const GAP_S = 0.5;

/**
 * How much of the film a player has ahead, by what it has loaded and the time that has passed. Pauses are not seen, so it is never
 * less than that. Pure: `now` is in milliseconds.
 */
export class Ahead {
  readonly #tracks = new Map<string, { end: number; loaded: number; since: number; bytesPerSecond: number }>();

  /** Seconds that are loaded ahead of this piece's track; 0 where it does not follow the one before. */
  seconds(now: number, piece: Piece | null): number {
    const track = this.#tracks.get(piece?.type ?? "");
    if (!track || !piece || Math.abs((piece.start ?? Infinity) - track.end) > GAP_S) return 0;
    return Math.max(track.loaded - (now - track.since) / 1000, 0);
  }

  /** What the track's latest piece had; `null` before there was one. */
  bytesPerSecond(piece: Piece | null): number | null {
    return this.#tracks.get(piece?.type ?? "")?.bytesPerSecond ?? null;
  }

  loaded(now: number, piece: Piece | null, bytes: number): void {
    if (!piece?.duration || piece.start === undefined) return;
    // hls.js has three: main, audio, subtitle.
    const type = piece.type ?? "";
    if (this.#tracks.size > 8) this.#tracks.clear();
    const before = this.seconds(now, piece);
    const loaded = before + piece.duration;
    this.#tracks.set(type, { end: piece.start + piece.duration, loaded, since: now, bytesPerSecond: bytes / piece.duration });
  }
}
