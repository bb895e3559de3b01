/**
 * Where a tracker's records lie in Deno KV.
 *
 *   <space> "tracker_peer" peerId              StoredPeer             forgotten a day after it was last written
 *   <space> "tracker_seen" peerId              StoredSeen             after the time to live
 *   <space> "tracker_voices" peerId            what others say of it  30 days after the last report
 *   <space> "tracker_news" writer sequence     StoredNews             after 10 min
 *   <space> "tracker_writer" writer            its last sequence      after 10 min without news
 *   <space> "tracker_revision"                 written with every commit, for `watch`
 *
 * A writer is a process, by a name of its own. Who reads nobody's news for longer than they are kept reads all records.
 */

export const PEER_KEPT_MS = 24 * 3_600_000;
export const VOICES_KEPT_MS = 30 * 24 * 3_600_000;
export const NEWS_KEPT_MS = 600_000;

export class TrackerKeys {
  readonly #space: string;

  constructor(space: string) {
    this.#space = space;
  }

  get peers(): Deno.KvKey {
    return [this.#space, "tracker_peer"];
  }

  get seen(): Deno.KvKey {
    return [this.#space, "tracker_seen"];
  }

  get voices(): Deno.KvKey {
    return [this.#space, "tracker_voices"];
  }

  get writers(): Deno.KvKey {
    return [this.#space, "tracker_writer"];
  }

  get revision(): Deno.KvKey {
    return [this.#space, "tracker_revision"];
  }

  newsOf(writer: string, sequence: number): Deno.KvKey {
    return [this.#space, "tracker_news", writer, sequence];
  }
}
