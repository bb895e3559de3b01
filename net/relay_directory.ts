/**
 * The relays that base knows, as one of us sees them: asked for every so often, checked, and kept while base is away.
 *
 *   base ─ list, page by page ─▶ whose keys are their own, and who is of the network ─▶ list, find, bySealingKey
 *
 * Base can leave relays out, but not invent any: each record must hold a sealing key that its identity has signed and, in
 * a closed network, a certificate for its kind and region. What base has last said stays in use while it does not answer,
 * for `keptMs` beyond the time at which the records would have ended.
 */

import { orAborted } from "../protocol/abort.ts";
import { verifyCertificate } from "../protocol/certificate.ts";
import { type Clock, delay } from "../protocol/clock.ts";
import type { RelayKind, RelayRecord } from "../protocol/directory.ts";
import { decodeBase64, encodeBase64 } from "../protocol/encoding.ts";
import { messageOf } from "../protocol/errors.ts";
import { verifyWireGuardBinding } from "../protocol/identity.ts";
import { type Log, silentLog } from "../protocol/log.ts";
import type { Primitives } from "../protocol/primitives.ts";
import type { Random } from "../protocol/random.ts";
import type { DirectoryClient } from "./directory_client.ts";

/** What the rest asks of it. */
export interface RelayFinder {
  /** The least loaded first. */
  list(kind: RelayKind): readonly RelayRecord[];
  find(kind: RelayKind, relayId: string): RelayRecord | undefined;
  /** Whose key it is, in base64 as records have it or as bytes. */
  bySealingKey(kind: RelayKind, key: Uint8Array | string): RelayRecord | undefined;
  /**
   * Asks base now or, if it has been asked just before, in a moment. Settles when it has answered or failed (see
   * `problem`); rejects when the signal is aborted, while others go on waiting.
   */
  refresh(signal?: AbortSignal): Promise<void>;
  /** Is called when what is known has changed. Disposing the result ends that. */
  onChange(listener: () => void): Disposable;
}

export interface RelayDirectoryOptions {
  readonly directory: Pick<DirectoryClient, "listRelays">;
  /** Left out: all. */
  readonly kinds?: readonly RelayKind[];
  readonly networkPublicKey?: Uint8Array | undefined;
  readonly primitives: Primitives;
  readonly clock: Clock;
  readonly random: Random;
  readonly log?: Log;
  /** Default 15 s. */
  readonly refreshMs?: number;
  /** Default 1 h. */
  readonly keptMs?: number;
}

/** However many ask for it, base is not asked more often. */
const REFRESH_FLOOR_MS = 500;
/** While base does not answer, or knows nobody of a kind: a network that has just been started will in a moment. */
const RETRY_MS = 2000;
/** More relays than this of one kind are not looked at. */
const MAX_RELAYS = 4096;
/** Nor more pages, however little is on them. */
const MAX_PAGES = 256;

/** Whose keys are to be checked. */
interface Claim extends Pick<RelayRecord, "publicKey" | "sealingKey" | "sealingKeySignature" | "certificate"> {
  readonly peerId: string;
  readonly role: string;
  readonly region?: string;
}

type KindIndex = ReadonlyMap<string, RelayRecord>;

export class RelayDirectory implements RelayFinder, Disposable {
  readonly #options: RelayDirectoryOptions;
  readonly #log: Log;
  readonly #closing = new AbortController();
  readonly #listeners = new Set<() => void>();
  #lists = new Map<RelayKind, readonly RelayRecord[]>();
  #ids = new Map<RelayKind, KindIndex>();
  #keys = new Map<RelayKind, KindIndex>();
  /** The relays as base last told of them, to see whether anything is new. */
  #lastText = "";
  /** Records that were found genuine, by all that a check depends on, so that each is checked once. */
  #checked = new Set<string>();
  #asking: Promise<void> | undefined;
  #askedAtMs = -Infinity;
  #answeredAtMs = -Infinity;
  #problem: string | undefined = "base has not been asked yet";

  /** Asks nothing before `run` or `refresh`. */
  constructor(options: RelayDirectoryOptions) {
    this.#options = options;
    this.#log = options.log ?? silentLog;
  }

  /** Why base does not tell of relays at present, if so. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Asks again and again until the signal aborts or it is disposed. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, refreshMs = 15_000 } = this.#options;
    const ended = AbortSignal.any([signal, this.#closing.signal]);
    while (!ended.aborted) {
      await this.refresh(ended).catch(() => {});
      const waitMs = this.#problem === undefined && !this.#isLacking ? refreshMs : RETRY_MS;
      await delay(clock, waitMs * (0.75 + 0.5 * random.next()), ended).catch(() => {});
    }
    if (this.#closing.signal.aborted) await this.#asking;
  }

  list(kind: RelayKind): readonly RelayRecord[] {
    return this.#isUsable ? this.#lists.get(kind) ?? [] : [];
  }

  find(kind: RelayKind, relayId: string): RelayRecord | undefined {
    return this.#isUsable ? this.#ids.get(kind)?.get(relayId) : undefined;
  }

  bySealingKey(kind: RelayKind, key: Uint8Array | string): RelayRecord | undefined {
    const text = typeof key === "string" ? key : encodeBase64(key);
    return this.#isUsable ? this.#keys.get(kind)?.get(text) : undefined;
  }

  refresh(signal?: AbortSignal): Promise<void> {
    this.#asking ??= this.#askSoon(this.#closing.signal).finally(() => this.#asking = undefined);
    return orAborted(this.#asking, signal);
  }

  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  [Symbol.dispose](): void {
    this.#closing.abort();
    this.#listeners.clear();
  }

  get #isUsable(): boolean {
    return this.#options.clock.now() - this.#answeredAtMs < (this.#options.keptMs ?? 3_600_000);
  }

  get #isLacking(): boolean {
    const { kinds } = this.#options;
    return kinds ? kinds.some((kind) => !this.#lists.has(kind)) : this.#lists.size === 0;
  }

  async #askSoon(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const waitMs = this.#askedAtMs + REFRESH_FLOOR_MS - clock.now();
    if (waitMs > 0) await delay(clock, waitMs, signal).catch(() => {});
    if (signal.aborted) return;
    this.#askedAtMs = clock.now();
    await this.#ask(signal);
  }

  async #ask(signal: AbortSignal): Promise<void> {
    const { kinds, clock } = this.#options;
    try {
      const lists = await Promise.all((kinds ?? [undefined]).map((kind) => this.#listAll(kind, signal)));
      this.#answeredAtMs = clock.now();
      if (this.#problem !== undefined) this.#log.debug("Base tells of relays");
      this.#problem = undefined;
      this.#take(lists.flat());
    } catch (error) {
      if (signal.aborted) return;
      if (this.#problem !== messageOf(error)) {
        this.#log.warn("Base does not tell of relays", { error: messageOf(error) });
      }
      this.#problem = messageOf(error);
    }
  }

  async #listAll(kind: RelayKind | undefined, signal: AbortSignal): Promise<RelayRecord[]> {
    // What changes its place in the list while we read it may be on two pages.
    const found = new Map<string, RelayRecord>();
    let after: string | undefined;
    let pages = 0;
    do {
      const page = await this.#options.directory.listRelays({
        ...(kind !== undefined && { kind }),
        ...(after !== undefined && { after }),
      }, { signal });
      for (const record of page.relays) found.set(`${record.kind} ${record.relayId}`, record);
      after = page.next;
    } while (after !== undefined && found.size < MAX_RELAYS && ++pages < MAX_PAGES);
    return [...found.values()];
  }

  #take(told: readonly RelayRecord[]): void {
    const genuine = this.#genuineOf(told);
    this.#lists = new Map(Map.groupBy(genuine, ({ kind }) => kind));
    this.#ids = indexed(this.#lists, ({ relayId }) => relayId);
    this.#keys = indexed(this.#lists, ({ sealingKey }) => sealingKey);
    const text = JSON.stringify(genuine.map(({ registeredAtMs: _at, expiresAtMs: _until, ...lasting }) => lasting));
    if (text === this.#lastText) return;
    this.#lastText = text;
    for (const listener of [...this.#listeners]) listener();
  }

  /** Signatures are dear, and most records are those of the time before. */
  #genuineOf(told: readonly RelayRecord[]): RelayRecord[] {
    const checked = new Set<string>();
    const genuine: RelayRecord[] = [];
    for (const record of told) {
      if (!this.#isGenuine({ ...record, peerId: record.relayId, role: record.kind }, checked)) continue;
      // A gateway's region is its own affair: relays elsewhere may lead to it.
      const gateways = record.gateways?.filter((gateway) =>
        this.#isGenuine({ ...gateway, peerId: gateway.gatewayId, role: "gateway" }, checked)
      );
      genuine.push(gateways ? { ...record, gateways } : record);
    }
    this.#checked = checked;
    return genuine;
  }

  #isGenuine({ peerId, role, region, ...keys }: Claim, checked: Set<string>): boolean {
    const { primitives, networkPublicKey, clock } = this.#options;
    const { publicKey, sealingKey, sealingKeySignature, certificate } = keys;
    const name = [peerId, publicKey, sealingKey, sealingKeySignature].join(" ");
    const [identity, wireguardKey, signature] = [publicKey, sealingKey, sealingKeySignature].map(decodeBase64);
    if (!identity || !wireguardKey || !signature) return false;
    const isBound = this.#checked.has(name) ||
      verifyWireGuardBinding({ peerId, publicKey: identity, wireguardKey, signature }, primitives);
    if (!isBound) return false;
    checked.add(name);
    if (!networkPublicKey) return true;
    const check = {
      ...(region !== undefined && { region }),
      networkPublicKey,
      peerId,
      role,
      nowMs: clock.wallNow(),
      primitives,
    };
    return certificate !== undefined && verifyCertificate(certificate, check).ok;
  }
}

function indexed(
  lists: ReadonlyMap<RelayKind, readonly RelayRecord[]>,
  keyOf: (record: RelayRecord) => string,
): Map<RelayKind, KindIndex> {
  return new Map(
    [...lists].map(([kind, records]) => [kind, new Map(records.map((record) => [keyOf(record), record]))]),
  );
}
