/**
 * The other supernodes that base tells of, for the dashboard. Nobody waits for base: what it said last is given, and it is
 * asked again meanwhile (no more often than `DirectoryClient` does).
 */

import type { DirectoryClient } from "../../net/directory_client.ts";
import type { SupernodeRecord } from "../../protocol/directory.ts";

export class ListedSupernodes {
  readonly #directory: Pick<DirectoryClient, "candidates"> | undefined;
  readonly #ownId: string;
  #known: readonly SupernodeRecord[] = [];
  #isAsking = false;

  /** Without a directory none are known. */
  constructor(directory: Pick<DirectoryClient, "candidates"> | undefined, ownId: string) {
    this.#directory = directory;
    this.#ownId = ownId;
  }

  /** As they were known last. */
  now(): readonly SupernodeRecord[] {
    if (!this.#isAsking) void this.#ask();
    return this.#known;
  }

  /** Never rejects. */
  async #ask(): Promise<void> {
    if (!this.#directory) return;
    this.#isAsking = true;
    try {
      this.#known = await this.#directory.candidates({ which: "all", exclude: [this.#ownId] });
    } catch {
      // base is down: what it said last is still the best that is known
    } finally {
      this.#isAsking = false;
    }
  }
}
