/**
 * The client's side of being let in: makes hellos, and knows the answers to the last few of them.
 */

import type { Clock } from "../clock.ts";
import type { Bytes } from "../primitives.ts";
import type { ClientCredential } from "../sealed_packets/credentials.ts";
import { type HelloTools, type Refusal, SealedHelloInitiator } from "../sealed_packets/hello.ts";
import { type Admission, ADMISSION_BYTES, encodeAdmissionRequest, parseAdmission, RESUME_BYTES } from "./admission.ts";

export const VTCP_PURPOSE = "vtcp";

/** Hellos whose answers may still come. */
const MOST_OUTSTANDING = 4;

export type GateAnswer =
  | { readonly kind: "admitted"; readonly admission: Admission }
  | { readonly kind: "refused"; readonly reason: Refusal; readonly serverWallMs: number };

export class ClientGate implements Disposable {
  readonly #tools: HelloTools;
  readonly #credential: ClientCredential;
  readonly #clock: Pick<Clock, "wallNow">;
  readonly #outstanding: SealedHelloInitiator[] = [];
  #resume: Bytes;

  constructor(tools: HelloTools, credential: ClientCredential, clock: Pick<Clock, "wallNow">) {
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
      wallMs: this.#clock.wallNow(),
    });
    this.#outstanding.push(initiator);
    if (this.#outstanding.length > MOST_OUTSTANDING) this.#outstanding.shift()![Symbol.dispose]();
    return initiator.hello;
  }

  /** What the bytes in [start, end) answer; undefined when they are no answer to any hello that is out. */
  read(bytes: Uint8Array, start: number, end: number): GateAnswer | undefined {
    for (const initiator of this.#outstanding) {
      const answer = initiator.read(bytes, start, end);
      if (!answer) continue;
      if (answer.kind === "refused") return answer;
      const admission = parseAdmission(answer.payload);
      if (!admission) return undefined;
      this.#forget();
      return { kind: "admitted", admission };
    }
    return undefined;
  }

  [Symbol.dispose](): void {
    this.#forget();
  }

  #forget(): void {
    for (const initiator of this.#outstanding.splice(0)) initiator[Symbol.dispose]();
  }
}
