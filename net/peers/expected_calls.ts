/**
 * Calls that a guest expects from hosts it has reached by a relay only: each by a token that the host alone has been told, for
 * as long as somebody waits for it.
 *
 *   expect(host) ─▶ token, in the knock ─▶ the host dials our peer port ─▶ take(call) ─▶ answered
 */

import { encodeBase64Url } from "../../protocol/encoding.ts";
import type { CallBack } from "../../protocol/peers/knock.ts";
import type { Random } from "../../protocol/random.ts";
import type { SealedStream } from "../sealed_stream.ts";
import type { HeardCall } from "./sealed_knock.ts";

const TOKEN_BYTES = 16;
/** More are not waited for at once. */
const MAX_EXPECTED = 256;

/** A host has called back. */
export interface AnsweredCall {
  readonly sealed: SealedStream;
  /** From where. */
  readonly via: string;
}

export interface ExpectedCall extends Disposable {
  /** To be told to the host. */
  readonly callBack: CallBack;
  /** Never settles when no call comes. */
  readonly answered: Promise<AnsweredCall>;
}

interface Waiting {
  readonly hostId: string;
  answer(call: AnsweredCall): void;
}

export class ExpectedCalls {
  readonly #random: Random;
  readonly #addresses: () => readonly string[];
  readonly #waiting = new Map<string, Waiting>();

  /** `addresses` is asked each time where we can be dialled. */
  constructor(random: Random, addresses: () => readonly string[]) {
    this.#random = random;
    this.#addresses = addresses;
  }

  /** Undefined when we cannot be dialled. */
  expect(hostId: string): ExpectedCall | undefined {
    const addresses = this.#addresses().slice(0, 4);
    if (addresses.length === 0 || this.#waiting.size >= MAX_EXPECTED) return undefined;
    const token = encodeBase64Url(this.#random.fill(new Uint8Array(TOKEN_BYTES)));
    const { promise: answered, resolve: answer } = Promise.withResolvers<AnsweredCall>();
    this.#waiting.set(token, { hostId, answer });
    return {
      callBack: { token, addresses },
      answered,
      [Symbol.dispose]: () => void this.#waiting.delete(token),
    };
  }

  /** Hands a call to whoever waits for it, once; false when nobody does. */
  take({ sealed, callerId, token }: HeardCall, via: string): boolean {
    const waiting = this.#waiting.get(token);
    if (waiting?.hostId !== callerId) return false;
    this.#waiting.delete(token);
    waiting.answer({ sealed, via });
    return true;
  }
}
