/**
 * By what peers are looked for: their regions and capabilities. Peers that have the same share one tag, so that a question is
 * asked of each tag once rather than of each peer.
 *
 * There are never more tags than a bound, since anybody may make up capabilities. A peer that would need one more has none,
 * and is found only by those who ask for nothing in particular.
 */

import type { PeerFilter } from "./messages.ts";

export interface Tag {
  readonly region: string | undefined;
  readonly capabilities: readonly string[];
  readonly slots: ReadonlySet<number>;
}

interface OwnTag extends Tag {
  readonly key: string;
  readonly slots: Set<number>;
}

const DEFAULT_MAX_TAGS = 16_384;

export class Tags {
  readonly #maxTags: number;
  readonly #byKey = new Map<string, OwnTag>();
  readonly #ofSlot: (OwnTag | undefined)[] = [];

  constructor(maxTags = DEFAULT_MAX_TAGS) {
    this.#maxTags = maxTags;
  }

  /** Gives a slot its tag, in place of the one that it may have. */
  set(slot: number, { region, capabilities }: Pick<Tag, "region" | "capabilities">): void {
    const sorted = [...new Set(capabilities)].sort();
    const key = `${region ?? ""} ${sorted.join(" ")}`;
    if (this.#ofSlot[slot]?.key === key) return;
    this.delete(slot);
    let tag = this.#byKey.get(key);
    if (!tag && this.#byKey.size < this.#maxTags) {
      this.#byKey.set(key, tag = { key, region, capabilities: sorted, slots: new Set() });
    }
    tag?.slots.add(slot);
    this.#ofSlot[slot] = tag;
  }

  delete(slot: number): void {
    const tag = this.#ofSlot[slot];
    if (!tag) return;
    tag.slots.delete(slot);
    if (tag.slots.size === 0) this.#byKey.delete(tag.key);
    this.#ofSlot[slot] = undefined;
  }

  of(slot: number): Tag | undefined {
    return this.#ofSlot[slot];
  }

  /** Those that a filter lets through. */
  matching(filter: PeerFilter): Set<Tag> {
    const found = new Set<Tag>();
    for (const tag of this.#byKey.values()) if (matches(tag, filter)) found.add(tag);
    return found;
  }
}

/** Whether somebody has the region and the capability that are asked for, if any are. */
export function matches(
  { region, capabilities }: Pick<Tag, "region" | "capabilities">,
  wanted: PeerFilter,
): boolean {
  return (wanted.region ?? region) === region &&
    (wanted.capability === undefined || capabilities.includes(wanted.capability));
}
