/**
 * The client's side of being let in: makes hellos, and knows the answers to the last few of them.
 */

import type { Clock } from "../clock.ts";
import type { Bytes } from "../primitives.ts";
import type { ClientCredential } from "../sealed_packets/credentials.ts";
import { type HelloTools, type Refusal, SealedHelloInitiator } from "../sealed_packets/hello.ts";
import { type Admission, ADMISSION_BYTES, encodeAdmissionRequest, parseAdmission, RESUME_BYTES } from "./admission.ts";

export const VTCP_PURPOSE = "vtcp";

/** Hellos whose answers may still come, and for how long: whatever comes is held against each of them. */
const MOST_OUTSTANDING = 4;
const ANSWERABLE_MS = 10_000;

interface Outstanding {
  readonly initiator: SealedHelloInitiator;
  readonly saidMs: number;
}

export type GateAnswer =
  | { readonly kind: "admitted"; readonly admission: Admission }
  | { readonly kind: "refused"; readonly reason: Refusal; readonly serverWallMs: number };

export class ClientGate implements Disposable {
  readonly #tools: HelloTools;
  readonly #credential: ClientCredential;
  readonly #clock: Pick<Clock, "now" | "wallNow">;
  readonly #outstanding: Outstanding[] = [];
  #resume: Bytes;
  /** By what the server has said that our clock is behind its own, and how many hellos there have been since. */
  #behindMs = 0;
  #sinceTold = 0;

  constructor(tools: HelloTools, credential: ClientCredential, clock: Pick<Clock, "now" | "wallNow">) {
    this.#tools = tools;
    this.#credential = credential;
    this.#clock = clock;
    this.#resume = tools.random.fill(new Uint8Array(RESUME_BYTES));
  }

  /** An answer is awaited. */
  get isAsking(): boolean {
    return this.#outstanding.length > 0;
  }

  /** A new hello: one that was sent before would not count again. */
  hello(): Bytes {
    const initiator = new SealedHelloInitiator(this.#tools, {
      credential: this.#credential,
      purpose: VTCP_PURPOSE,
      payload: encodeAdmissionRequest(this.#resume),
      answerPayloadBytes: ADMISSION_BYTES,
      // Every other one by our own clock: it may have been put right.
      wallMs: this.#clock.wallNow() + (this.#sinceTold++ % 2 === 0 ? this.#behindMs : 0),
    });
    this.#outstanding.push({ initiator, saidMs: this.#clock.now() });
    if (this.#outstanding.length > MOST_OUTSTANDING) this.#forget(1);
    return initiator.hello;
  }

  /** Awaits no answer any more to hellos that have had none for long. */
  giveUpOld(): void {
    const sinceMs = this.#clock.now() - ANSWERABLE_MS;
    this.#forget(this.#outstanding.filter(({ saidMs }) => saidMs <= sinceMs).length);
  }

  /** What the bytes in [start, end) answer; undefined when they are no answer to any hello that is out. */
  read(bytes: Uint8Array, start: number, end: number): GateAnswer | undefined {
    for (const { initiator } of this.#outstanding) {
      const answer = initiator.read(bytes, start, end);
      if (!answer) continue;
      if (answer.kind === "refused") {
        if (answer.reason === "clock") this.#takeClock(answer.serverWallMs);
        return answer;
      }
      const admission = parseAdmission(answer.payload);
      if (!admission) return undefined;
      this.#forget();
      this.#sinceTold = 0;
      return { kind: "admitted", admission };
    }
    return undefined;
  }

  [Symbol.dispose](): void {
    this.#forget();
  }

  #takeClock(serverWallMs: number): void {
    this.#behindMs = serverWallMs - this.#clock.wallNow();
    this.#sinceTold = 0;
  }

  /** The oldest so many. */
  #forget(count = this.#outstanding.length): void {
    for (const { initiator } of this.#outstanding.splice(0, count)) initiator[Symbol.dispose]();
  }
}
