/**
 * Pages of lists in the order of ids, so that `after` finds its place again whatever has come and gone.
 */

import type { BlockList } from "../../kv/blocks.ts";
import type { Block } from "../../protocol/stored_records.ts";
import type { ListQuery } from "./schema.ts";

export interface Page<T> {
  /** Of all that the query is for, on whichever page. */
  readonly total: number;
  readonly items: readonly T[];
  /** What to give as `after` for the next page; absent on the last. */
  readonly next?: string;
}

export interface PageOptions<R, T> {
  idOf(record: R): string;
  view(record: R): T;
}

/** One page of the records, by their ids. */
export function pageOf<R, T>(
  records: Iterable<R>,
  { limit, after }: ListQuery,
  { idOf, view }: PageOptions<R, T>,
): Page<T> {
  const all = [...records].map((record) => ({ id: idOf(record), record }));
  const rest = after === undefined ? all : all.filter(({ id }) => id > after);
  rest.sort((one, other) => one.id < other.id ? -1 : 1);
  const shown = rest.slice(0, limit);
  return {
    total: all.length,
    items: shown.map(({ record }) => view(record)),
    ...(rest.length > shown.length && { next: shown.at(-1)!.id }),
  };
}

export function blockPage(blocks: BlockList, query: ListQuery): Page<Block> {
  const wanted = [...blocks].filter(({ peerId }) => !query.peer || peerId === query.peer);
  return pageOf(wanted, query, { idOf: ({ kind, peerId }) => `${kind} ${peerId}`, view: (block) => block });
}
