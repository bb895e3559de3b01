/**
 * Asks relay ports how they see the device's UDP port (`protocol/packets/reflection.ts`). Asking also keeps what the NATs
 * between here and there remember of us.
 */

import { type Clock, delay } from "../../protocol/clock.ts";
import { encodeReflectionRequest, readReflection, REFLECTION_ID_BYTES } from "../../protocol/packets/reflection.ts";
import type { Random } from "../../protocol/random.ts";
import { formatEndpoint } from "../../protocol/wireguard/endpoint.ts";
import type { Endpoint } from "../../protocol/wireguard/settings.ts";

/** How often to remind a relay's NATs of us: they forget after 30 s or more (RFC 4787 §4.3 asks for minutes). */
export const REMIND_MS = 15_000;
/** When to ask again, and after the last of these when to give up. */
const RESEND_MS = [100, 150, 250];
/** Questions under way; an exit may be asked by many clients at once. */
const MAX_WAITING = 256;

export interface ReflectionsOptions {
  readonly clock: Clock;
  readonly random: Random;
  send(bytes: Uint8Array, to: Endpoint): void;
}

export class Reflections {
  readonly #options: ReflectionsOptions;
  readonly #waiting = new Map<string, (at: Endpoint) => void>();

  constructor(options: ReflectionsOptions) {
    this.#options = options;
  }

  /** A datagram that came to the port; what is no answer to a question of ours is passed over. */
  receive(bytes: Uint8Array, from: Endpoint): void {
    const reflection = readReflection(bytes);
    if (reflection) this.#waiting.get(waitingKey(reflection.id, from))?.(reflection.at);
  }

  /** How the relay sees us; undefined when it does not say. Rejects when aborted. */
  async ask(relayAt: Endpoint, signal: AbortSignal): Promise<Endpoint | undefined> {
    if (this.#waiting.size >= MAX_WAITING) return undefined;
    const { clock, send } = this.#options;
    const id = this.#id();
    const key = waitingKey(id, relayAt);
    const answered = new AbortController();
    let seenAt: Endpoint | undefined;
    this.#waiting.set(key, (at) => {
      seenAt = at;
      answered.abort();
    });
    const either = AbortSignal.any([signal, answered.signal]);
    try {
      for (const waitMs of RESEND_MS) {
        if (either.aborted) break;
        send(encodeReflectionRequest(id), relayAt);
        await delay(clock, waitMs, either).catch(() => {});
      }
    } finally {
      this.#waiting.delete(key);
    }
    signal.throwIfAborted();
    return seenAt;
  }

  /** Asks without waiting for what it says. */
  remind(relayAt: Endpoint): void {
    this.#options.send(encodeReflectionRequest(this.#id()), relayAt);
  }

  #id(): Uint8Array<ArrayBuffer> {
    return this.#options.random.fill(new Uint8Array(REFLECTION_ID_BYTES));
  }
}

function waitingKey(id: Uint8Array, from: Endpoint): string {
  return `${id.toHex()} ${formatEndpoint(from)}`;
}
