/**
 * Sets and maps of values, which a rule looks a packet's field up in, and which can change while their table stays.
 *
 * One with intervals is kept as a row of points, each the start of something or the end of what came before; the end is
 * the first value that is not in it any more. A dynamic set is filled by rules (`meter`), has a bound, and forgets what
 * has not been seen for its timeout. When it is full, what is new does not get in, and the rule does not match.
 */

import { CulvertError } from "../errors.ts";
import { Attributes, type NetlinkMessage, NLM_F_CREATE } from "../netlink.ts";
import type { Bytes } from "../primitives.ts";
import { NFTA_DATA_VALUE, type SetReference, type Verdict, writeValue, writeVerdict } from "./expressions.ts";
import { Command, NFGEN_HEADER_BYTES, NftWriter, readBe64, typeOf } from "./message.ts";
import {
  compareBytes,
  type Extent,
  extentOf,
  isSingle,
  nextAfter,
  type Value,
  type ValueType,
  type ValueTypeName,
  valueTypes,
} from "./values.ts";

const NFTA_SET_TABLE = 1;
const NFTA_SET_NAME = 2;
const NFTA_SET_FLAGS = 3;
const NFTA_SET_KEY_TYPE = 4;
const NFTA_SET_KEY_LEN = 5;
const NFTA_SET_DATA_TYPE = 6;
const NFTA_SET_DATA_LEN = 7;
const NFTA_SET_DESC = 9;
const NFTA_SET_ID = 10;
const NFTA_SET_TIMEOUT = 11;
const NFTA_SET_USERDATA = 13;
const NFTA_SET_DESC_SIZE = 1;

const FLAG_ANONYMOUS = 0x01;
const FLAG_CONSTANT = 0x02;
const FLAG_INTERVAL = 0x04;
const FLAG_MAP = 0x08;
const FLAG_TIMEOUT = 0x10;
const FLAG_DYNAMIC = 0x20;

const NFTA_SET_ELEM_LIST_TABLE = 1;
const NFTA_SET_ELEM_LIST_SET = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS = 3;
const NFTA_SET_ELEM_LIST_SET_ID = 4;
const NFTA_SET_ELEM_KEY = 1;
const NFTA_SET_ELEM_DATA = 2;
const NFTA_SET_ELEM_FLAGS = 3;
const NFTA_SET_ELEM_USERDATA = 6;
const NFTA_SET_ELEM_EXPR = 7;
const ELEMENT_IS_END = 1;
/** For `nft`, which shows only so that nothing ends an interval: type 1 of what is kept for it, 4 bytes, 1. */
const OPEN_ENDED = new Uint8Array([1, 4, 1, 0, 0, 0]);

const DATA_IS_VERDICT = 0xffffff00;

/** One message holds fewer bytes of elements than an attribute's length can say. */
const ELEMENTS_PER_MESSAGE = 200;

/** What a map gives for a key. */
export type ElementData = { readonly value: Extent; readonly type: ValueType } | { readonly verdict: Verdict };

export interface NamedSet {
  readonly name: string;
  readonly key: ValueTypeName;
  /** Elements may be networks and ranges. */
  readonly hasIntervals?: boolean;
  readonly elements?: readonly Value[];
  /** Rules add to it: so many at most, each for so long after it was last seen. */
  readonly dynamic?: { readonly maxElements: number; readonly timeoutMs?: number };
}

/** `verdict` may be what a statement such as `drop()` is made of. */
export type MapValue = Value | { readonly verdict: Verdict };

export interface NamedMap {
  readonly name: string;
  readonly key: ValueTypeName;
  readonly value: ValueTypeName | "verdict";
  readonly hasIntervals?: boolean;
  readonly entries?: readonly (readonly [key: Value, value: MapValue])[];
}

/** What the kernel must know of a set before its elements. */
export interface SetLayout {
  readonly type: ValueType;
  readonly data?: ValueType | "verdict";
  readonly hasIntervals: boolean;
  readonly isAnonymous?: boolean;
  readonly maxElements?: number;
  readonly timeoutMs?: number;
  readonly isDynamic?: boolean;
}

/** An element as it is written. */
export interface SetPoint {
  readonly key: Bytes;
  readonly isEnd?: boolean;
  /** Everything from here on is in it. */
  readonly isOpenEnded?: boolean;
  readonly data?: ElementData;
}

export function layoutOf(set: NamedSet | NamedMap): SetLayout {
  const { key, hasIntervals = false } = set;
  const type = valueTypes[key];
  if (hasIntervals && !type.isNetworkOrder) {
    throw new CulvertError("bad_rule", `Cannot build the set ${set.name}: a ${key} must be a single value`);
  }
  if ("value" in set) return { type, hasIntervals, data: set.value === "verdict" ? "verdict" : valueTypes[set.value] };
  const { dynamic } = set;
  return { type, hasIntervals, ...dynamic && { isDynamic: true, ...dynamic } };
}

export function encodeSet(table: string, { name, id }: Required<SetReference>, layout: SetLayout): Bytes {
  const { type, data, hasIntervals, isAnonymous = false, maxElements, timeoutMs, isDynamic = false } = layout;
  const flags = (isAnonymous ? FLAG_ANONYMOUS | FLAG_CONSTANT : 0) | (hasIntervals ? FLAG_INTERVAL : 0) |
    (data ? FLAG_MAP : 0) | (timeoutMs === undefined ? 0 : FLAG_TIMEOUT) | (isDynamic ? FLAG_DYNAMIC : 0);
  const writer = new NftWriter(Command.newSet, NLM_F_CREATE)
    .text(NFTA_SET_TABLE, table)
    .text(NFTA_SET_NAME, name)
    .be32(NFTA_SET_FLAGS, flags)
    .be32(NFTA_SET_KEY_TYPE, type.number)
    .be32(NFTA_SET_KEY_LEN, type.bytes);
  if (data) {
    writer.be32(NFTA_SET_DATA_TYPE, data === "verdict" ? DATA_IS_VERDICT : data.number)
      .be32(NFTA_SET_DATA_LEN, data === "verdict" ? 0 : data.bytes);
  }
  writer.be32(NFTA_SET_ID, id);
  if (maxElements !== undefined) {
    writer.nested(NFTA_SET_DESC, () => writer.be32(NFTA_SET_DESC_SIZE, maxElements));
  }
  if (timeoutMs !== undefined) writer.be64(NFTA_SET_TIMEOUT, timeoutMs);
  return writer.bytes(NFTA_SET_USERDATA, byteOrders(layout)).finish();
}

/** For `nft`, which otherwise shows numbers with their bytes the wrong way round: key's, then value's. */
function byteOrders({ type, data }: SetLayout): Bytes {
  const orders = [type, ...data && data !== "verdict" ? [data] : []];
  return Uint8Array.from(orders.flatMap((one, index) => [index, 4, one.isNetworkOrder ? 2 : 1, 0, 0, 0]));
}

/** As many messages as it takes. */
export function encodeElements(
  command: number,
  at: { readonly table: string; readonly set: SetReference },
  points: readonly SetPoint[],
): Bytes[] {
  const messages: Bytes[] = [];
  for (let from = 0; from < points.length; from += ELEMENTS_PER_MESSAGE) {
    const writer = new NftWriter(command, command === Command.newElements ? NLM_F_CREATE : 0)
      .text(NFTA_SET_ELEM_LIST_TABLE, at.table)
      .text(NFTA_SET_ELEM_LIST_SET, at.set.name);
    if (at.set.id !== undefined) writer.be32(NFTA_SET_ELEM_LIST_SET_ID, at.set.id);
    writer.nested(NFTA_SET_ELEM_LIST_ELEMENTS, () => {
      points.slice(from, from + ELEMENTS_PER_MESSAGE).forEach((point, index) => writePoint(writer, index + 1, point));
    });
    messages.push(writer.finish());
  }
  return messages;
}

function writePoint(writer: NftWriter, index: number, point: SetPoint): void {
  const { key, isEnd = false, isOpenEnded = false, data } = point;
  writer.nested(index, () => {
    if (isEnd) writer.be32(NFTA_SET_ELEM_FLAGS, ELEMENT_IS_END);
    writeValue(writer, NFTA_SET_ELEM_KEY, key);
    if (data && "verdict" in data) writeVerdict(writer, NFTA_SET_ELEM_DATA, data.verdict);
    if (data && "value" in data) writeValue(writer, NFTA_SET_ELEM_DATA, data.value.from);
    if (isOpenEnded) writer.bytes(NFTA_SET_ELEM_USERDATA, OPEN_ENDED);
  });
}

type Entry = readonly [key: Extent, data?: ElementData];

/** What a set or map holds at first. */
export function entriesOf(set: NamedSet | NamedMap): Entry[] {
  const type = valueTypes[set.key];
  if (!("value" in set)) return (set.elements ?? []).map((value) => [extentOf(type, value)]);
  const { value: data } = set;
  return (set.entries ?? []).map(([key, value]) => [
    extentOf(type, key),
    dataOf(data === "verdict" ? "verdict" : valueTypes[data], value),
  ]);
}

export function dataOf(type: ValueType | "verdict", value: MapValue): ElementData {
  const isVerdict = typeof value === "object" && "verdict" in value;
  if (isVerdict !== (type === "verdict")) {
    throw new CulvertError("bad_rule", "Cannot build the map: its values must be all verdicts, or none");
  }
  if (isVerdict) return { verdict: value.verdict };
  return { value: single(extentOf(type as ValueType, value as Value), type as ValueType), type: type as ValueType };
}

/** The points of a set without intervals, or of one with them. */
export function pointsOf(layout: SetLayout, entries: readonly Entry[]): SetPoint[] {
  if (layout.hasIntervals) return intervalPoints(merged(entries, layout), layout);
  return entries.map(([extent, data]) => ({ key: single(extent, layout.type).from, ...data && { data } }));
}

/** The points of a new set: as `nft` does, it is said that what lies before the first is outside. */
export function firstPointsOf(layout: SetLayout, entries: readonly Entry[]): SetPoint[] {
  const points = pointsOf(layout, entries);
  const zero = new Uint8Array(layout.type.bytes);
  const startsLater = points[0] !== undefined && compareBytes(points[0].key, zero) > 0;
  return layout.hasIntervals && startsLater ? [{ key: zero, isEnd: true }, ...points] : points;
}

function single(extent: Extent, type: ValueType): Extent {
  if (isSingle(extent)) return extent;
  throw new CulvertError("bad_rule", `Cannot build the set: a ${type.name} must be a single value here`);
}

function intervalPoints(entries: readonly Entry[], { isAnonymous = false }: SetLayout): SetPoint[] {
  const points: SetPoint[] = [];
  for (const [{ from, to }, data] of entries) {
    // Where one ends and the next begins at once, the beginning says both; unless the one may be removed alone.
    const last = points.at(-1);
    if (isAnonymous && last?.isEnd && compareBytes(last.key, from) === 0) points.pop();
    const end = nextAfter(to);
    points.push({ key: from, ...!end && { isOpenEnded: true }, ...data && { data } });
    if (end) points.push({ key: end, isEnd: true });
  }
  return points;
}

/**
 * In order, those that overlap made one, and in a set that nobody can change those that touch as well. The keys of a
 * map must not overlap, as their values could not both be given.
 */
function merged(entries: readonly Entry[], { isAnonymous = false }: SetLayout): Entry[] {
  const all: Entry[] = [];
  for (const entry of entries.toSorted(([a], [b]) => compareBytes(a.from, b.from))) {
    const [extent, data] = entry;
    const last = all.at(-1)?.[0];
    const overlaps = last !== undefined && compareBytes(extent.from, last.to) <= 0;
    if (overlaps && data) throw new CulvertError("bad_rule", "Cannot build the map: its keys must not overlap");
    if (last && !data && (overlaps || isAnonymous && touches(last, extent))) {
      all[all.length - 1] = [{ from: last.from, to: compareBytes(extent.to, last.to) > 0 ? extent.to : last.to }];
    } else {
      all.push(entry);
    }
  }
  return all;
}

function touches(before: Extent, after: Extent): boolean {
  const next = nextAfter(before.to);
  return next !== undefined && compareBytes(after.from, next) === 0;
}

export function encodeListElements(table: string, set: string): (writer: NftWriter) => void {
  return (writer) => void writer.text(NFTA_SET_ELEM_LIST_TABLE, table).text(NFTA_SET_ELEM_LIST_SET, set);
}

/** One element of a set without intervals, with what a rule counted for it. */
export interface ElementInfo {
  readonly key: Bytes;
  readonly counter?: Counter;
}

export interface Counter {
  readonly packets: number;
  readonly bytes: number;
}

/** The elements in a message of a list; none in any other message. */
export function readElements({ type, payload }: NetlinkMessage): ElementInfo[] {
  if (type !== typeOf(Command.newElements)) return [];
  const elements: ElementInfo[] = [];
  for (const element of new Attributes(payload, NFGEN_HEADER_BYTES).list(NFTA_SET_ELEM_LIST_ELEMENTS)) {
    const key = element.nested(NFTA_SET_ELEM_KEY).bytes(NFTA_DATA_VALUE);
    if (!key) continue;
    const counter = readCounter(element.nested(NFTA_SET_ELEM_EXPR));
    elements.push(counter ? { key, counter } : { key });
  }
  return elements;
}

/** What an expression has counted; undefined if it is another. */
export function readCounter(expression: Attributes): Counter | undefined {
  if (expression.text(1) !== "counter") return undefined;
  const data = expression.nested(2);
  return { bytes: readBe64(data, 1) ?? 0, packets: readBe64(data, 2) ?? 0 };
}
