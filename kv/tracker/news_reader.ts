/**
 * What other processes on the store have done since this one has last looked: their news, in the order of each.
 */

import { type StoredNews, storedNewsSchema, storedWriterSchema } from "../../protocol/tracker/stored.ts";
import { inStore } from "../store_error.ts";
import type { TrackerKeys } from "./keys.ts";

const DEED = "read what other trackers have done";

export class NewsReader {
  readonly #kv: Deno.Kv;
  readonly #keys: TrackerKeys;
  /** Whose news are our own. */
  readonly #self: string;
  readonly #readUntil = new Map<string, number>();

  constructor(kv: Deno.Kv, keys: TrackerKeys, self: string) {
    this.#kv = kv;
    this.#keys = keys;
    this.#self = self;
  }

  /** What has been told so far is known otherwise: the news are those that come after. */
  async skip(): Promise<void> {
    for (const [writer, sequence] of await this.#heads()) this.#readUntil.set(writer, sequence);
  }

  /** The news since; undefined, and all news are skipped, if some of them were forgotten before they were read. */
  async read(): Promise<StoredNews[] | undefined> {
    const all: StoredNews[] = [];
    const heads = await this.#heads();
    for (const [writer, head] of heads) {
      const from = this.#readUntil.get(writer) ?? 0;
      const news = await this.#readFrom(writer, from, head);
      this.#readUntil.set(writer, head);
      if (news.length < head - from) {
        await this.skip();
        return undefined;
      }
      all.push(...news);
    }
    for (const writer of this.#readUntil.keys()) if (!heads.has(writer)) this.#readUntil.delete(writer);
    return all;
  }

  #heads(): Promise<Map<string, number>> {
    return inStore(DEED, async () => {
      const heads = new Map<string, number>();
      for await (const { key, value } of this.#kv.list({ prefix: this.#keys.writers })) {
        const writer = key.at(-1);
        const head = storedWriterSchema.safeParse(value).data;
        if (head && typeof writer === "string" && writer !== this.#self) heads.set(writer, head.sequence);
      }
      return heads;
    });
  }

  #readFrom(writer: string, from: number, head: number): Promise<StoredNews[]> {
    return inStore(DEED, async () => {
      const [start, end] = [this.#keys.newsOf(writer, from + 1), this.#keys.newsOf(writer, head + 1)];
      const news: StoredNews[] = [];
      for await (const { value } of this.#kv.list({ start, end })) {
        const { data } = storedNewsSchema.safeParse(value);
        if (data) news.push(data);
      }
      return news;
    });
  }
}
