/**
 * Many WireGuard initiators at once, each with a key and an address of its own: what a busy responder meets. Two habits:
 *
 *   runInitiators   each awaits its response, taking a cookie when one is asked for, and begins anew; bursts of
 *                   initiations without a cookie keep the responder under load
 *   runFlood        initiations at a fixed rate, whose macs are right but whose answers nobody reads
 *
 * The addresses are those of SOURCES, which the machine must take for its own: `ip route add local … dev lo`. A responder
 * under load takes 20 initiations per second from one address, hence so many.
 */

import { type Clock, clockOf, delay } from "../../protocol/clock.ts";
import { randomOf } from "../../protocol/random.ts";
import type { Target } from "../../protocol/stream.ts";
import { COOKIE_REPLY_TYPE, RESPONSE_TYPE } from "../../protocol/wireguard/constants.ts";
import { MacStamper } from "../../protocol/wireguard/cookie.ts";
import type { WireGuardCrypto } from "../../protocol/wireguard/crypto.ts";
import {
  createInitiation,
  type InitiatorState,
  type LocalStatic,
  readResponse,
  type RemoteStatic,
} from "../../protocol/wireguard/handshake.ts";
import { COOKIE_REPLY, RESPONSE } from "../../protocol/wireguard/messages.ts";
import type { Key } from "../../protocol/wireguard/settings.ts";
import { tai64n } from "../../protocol/wireguard/timestamp.ts";

/** Where the initiators' addresses lie. */
export const SOURCES = { cidr: "10.79.0.0/16", address: (index: number) => `10.79.${index >> 8}.${index & 255}` };

/** An address passes the responder's limit at this pace. */
const PACE_MS = 60;
/** An initiation that was dropped is not waited for longer. */
const PATIENCE_MS = 1_000;
/**
 * Initiations without a cookie that are sent at once now and then: more than a device looks at in the meantime, so that it
 * finds itself under load, a state that lasts a second.
 */
const BURST = { packets: 400, everyMs: 400 } as const;
/** The index in initiations whose answers nobody awaits. */
const NOBODY = 0xffff_ffff;
const FLOOD_TURN_MS = 5;

export interface InitiatorsOptions {
  readonly crypto: WireGuardCrypto;
  readonly target: Target;
  readonly targetKey: Key;
  readonly privateKeys: readonly Key[];
}

export interface InitiatorsResult {
  readonly handshakesPerS: number;
  /** Taken, warming up included; each is good for two minutes. None: the responder was never under load. */
  readonly cookies: number;
}

export async function runInitiators(
  options: InitiatorsOptions,
  { warmMs, measureMs }: { readonly warmMs: number; readonly measureMs: number },
): Promise<InitiatorsResult> {
  const clock = clockOf(globalThis);
  using initiators = openInitiators(options, clock);
  const startMs = clock.now() + warmMs;
  const endMs = startMs + measureMs;
  let [handshakes, cookies] = [0, 0];
  const bursting = burst(initiators.all, clock, endMs);
  await Promise.all(initiators.all.map(async (initiator) => {
    while (clock.now() < endMs) {
      const begunMs = clock.now();
      const outcome = await initiator.attempt();
      const nowMs = clock.now();
      if (outcome === "cookie") cookies++;
      if (outcome === "response" && nowMs >= startMs && nowMs < endMs) handshakes++;
      await delay(clock, Math.max(0, begunMs + PACE_MS - nowMs));
    }
  }));
  await bursting;
  return { handshakesPerS: handshakes / measureMs * 1000, cookies };
}

/** Keeps the responder under load. */
async function burst(initiators: readonly Initiator[], clock: Clock, untilMs: number): Promise<void> {
  const packets = initiators.map((initiator) => initiator.packet(NOBODY));
  while (clock.now() < untilMs) {
    for (let sent = 0; sent < BURST.packets; sent++) {
      const turn = sent % packets.length;
      initiators[turn]!.send(packets[turn]!);
    }
    await delay(clock, BURST.everyMs);
  }
}

/** Sends until the signal aborts; gives how many went out per second. */
export async function runFlood(options: InitiatorsOptions, perS: number, signal: AbortSignal): Promise<number> {
  const clock = clockOf(globalThis);
  using initiators = openInitiators(options, clock, { listen: false });
  const packets = initiators.all.map((initiator) => initiator.packet(NOBODY));
  const startMs = clock.now();
  let sent = 0;
  while (!signal.aborted) {
    const due = perS * (clock.now() - startMs) / 1000;
    for (; sent < due; sent++) {
      const turn = sent % packets.length;
      initiators.all[turn]!.send(packets[turn]!);
    }
    await delay(clock, FLOOD_TURN_MS);
  }
  return sent / (clock.now() - startMs) * 1000;
}

function openInitiators(
  options: InitiatorsOptions,
  clock: Clock,
  { listen = true } = {},
): Disposable & { readonly all: readonly Initiator[] } {
  const stack = new DisposableStack();
  const all = options.privateKeys.map((key, index) => stack.use(new Initiator(options, { key, index, clock, listen })));
  return { all, [Symbol.dispose]: () => stack.dispose() };
}

type Outcome = "response" | "cookie" | "nothing";

interface InitiatorParts {
  readonly key: Key;
  readonly index: number;
  readonly clock: Clock;
  /** Whether answers are read; reading those to a flood would cost more than the flood. */
  readonly listen: boolean;
}

class Initiator implements Disposable {
  readonly #crypto: WireGuardCrypto;
  readonly #clock: Clock;
  readonly #local: LocalStatic;
  readonly #remote: RemoteStatic;
  readonly #stamper: MacStamper;
  readonly #socket: Deno.DatagramConn;
  readonly #to: Deno.NetAddr;
  readonly #count: number;
  /** Of the attempt under way: one more round of all indices each time, so that a late answer is known as one. */
  #sender: number;
  #state: InitiatorState | undefined;
  #settle: ((outcome: Outcome) => void) | undefined;
  #isProven = false;

  constructor(
    { crypto: suite, target, targetKey, privateKeys }: InitiatorsOptions,
    { key, index, clock, listen }: InitiatorParts,
  ) {
    this.#crypto = suite;
    this.#clock = clock;
    this.#sender = index;
    this.#count = privateKeys.length;
    this.#local = { privateKey: key, publicKey: suite.x25519PublicKey(key) };
    this.#remote = { publicKey: targetKey, presharedKey: new Uint8Array(32), shared: suite.x25519(key, targetKey) };
    this.#stamper = new MacStamper(suite, targetKey);
    this.#socket = Deno.listenDatagram({ transport: "udp", hostname: SOURCES.address(index), port: 0 });
    this.#to = { transport: "udp", hostname: target.host, port: target.port };
    if (listen) this.#listen();
  }

  /** Sends an initiation and waits a while for what comes of it. */
  async attempt(): Promise<Outcome> {
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    this.#settle = resolve;
    this.#sender += this.#count;
    this.send(this.packet(this.#sender));
    using _patience = this.#clock.after(PATIENCE_MS, () => resolve("nothing"));
    return await promise;
  }

  /** An initiation that is good now. */
  packet(senderIndex: number): Uint8Array {
    this.#state?.[Symbol.dispose]();
    const tools = { crypto: this.#crypto, random: randomOf(crypto) };
    const timestamp = tai64n(this.#clock.wallNow());
    const made = createInitiation(tools, this.#local, this.#remote, { senderIndex, timestamp })!;
    this.#state = made.state;
    this.#stamper.stamp(made.packet, this.#clock.now());
    return made.packet;
  }

  send(packet: Uint8Array): void {
    // A full socket buffer drops it, as a network would.
    this.#socket.send(packet, this.#to).catch(() => {});
  }

  async #listen(): Promise<void> {
    for await (const [message] of this.#socket) {
      const outcome = this.#read(new Uint8Array(message));
      if (outcome) this.#settle?.(outcome);
    }
  }

  #read(message: Uint8Array<ArrayBuffer>): Outcome | undefined {
    if (message.length < RESPONSE.ephemeral) return undefined;
    const view = new DataView(message.buffer);
    if (message[0] === COOKIE_REPLY_TYPE && view.getUint32(COOKIE_REPLY.receiver, true) === this.#sender) {
      return this.#stamper.takeReply(message, this.#clock.now()) ? "cookie" : undefined;
    }
    const isResponse = message[0] === RESPONSE_TYPE && view.getUint32(RESPONSE.receiver, true) === this.#sender;
    return isResponse && this.#isProof(message) ? "response" : undefined;
  }

  /** The first response of each is opened, which costs as much as making it; the others are believed. */
  #isProof(packet: Uint8Array<ArrayBuffer>): boolean {
    if (this.#isProven) return true;
    const state = this.#state!;
    this.#isProven = readResponse(this.#crypto, this.#local, this.#remote, { state, packet }) !== undefined;
    return this.#isProven;
  }

  [Symbol.dispose](): void {
    this.#socket.close();
    this.#stamper[Symbol.dispose]();
    this.#state?.[Symbol.dispose]();
  }
}
