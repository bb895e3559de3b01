/**
 * The server's side of letting in: judges hellos and gives tokens. Whoever is not let in hears nothing, but for those to
 * whom the sealed hello says why (`sealed_packets/hello.ts`).
 */

import { Blake2s } from "../blake2s.ts";
import type { Clock } from "../clock.ts";
import type { NoiseKeyPair } from "../noise_ik.ts";
import type { Bytes } from "../primitives.ts";
import type { ClientTable, KnownClient } from "../sealed_packets/clients.ts";
import { type HelloTools, type Refusal, SealedHelloResponder } from "../sealed_packets/hello.ts";
import { LEAST_HELLO_BYTES, MOST_HELLO_BYTES } from "../sealed_packets/hello_frame.ts";
import { signedBytes, VTCP_DOMAIN } from "../signing.ts";
import { encodeAdmission, INSTANCE_BYTES, parseAdmissionRequest, TOKEN_BYTES } from "./admission.ts";
import { VTCP_PURPOSE } from "./client_gate.ts";

export interface ServerGateOptions {
  readonly server: NoiseKeyPair;
  readonly clients: ClientTable;
  /** The public key of the certificate. */
  readonly certificateKey: Bytes;
  readonly clock: Pick<Clock, "now" | "wallNow">;
}

/** Somebody known has said hello. Answer it, or refuse; once. */
export interface Admitted {
  readonly kind: "admitted";
  readonly client: KnownClient;
  /** One for each client and `resume`: what holds the place of its QUIC connections. */
  readonly id: string;
  readonly token: Bytes;
  answer(): Bytes;
  /** Says that there is no room. */
  refuse(): Bytes;
}

export type GateVerdict =
  | Admitted
  | { readonly kind: "refused"; readonly reason: Refusal; readonly client: string | undefined; readonly answer: Bytes }
  | { readonly kind: "ignored" };

const IGNORED: GateVerdict = Object.freeze({ kind: "ignored" });

export class ServerGate implements Disposable {
  readonly #options: ServerGateOptions;
  readonly #responder: SealedHelloResponder;
  readonly #instance: Bytes;
  readonly #tokenKey: Bytes;

  constructor(tools: HelloTools, options: ServerGateOptions) {
    this.#options = options;
    this.#responder = new SealedHelloResponder(tools, { ...options, purpose: VTCP_PURPOSE });
    this.#instance = tools.random.fill(new Uint8Array(INSTANCE_BYTES));
    this.#tokenKey = tools.random.fill(new Uint8Array(32));
  }

  /** Whether the bytes in [start, end) can be a hello to us: cheap, and cheaper for most of what is none. */
  isHello(bytes: Uint8Array, start: number, end: number): boolean {
    const length = end - start;
    return length >= LEAST_HELLO_BYTES && length <= MOST_HELLO_BYTES && this.#responder.isHello(bytes, start, end);
  }

  /** `from` is the address that it came from. */
  receive(bytes: Uint8Array, start: number, end: number, from: string): GateVerdict {
    const verdict = this.#responder.receive(bytes, from, start, end);
    if (verdict.kind === "ignored") return IGNORED;
    if (verdict.kind === "refused") {
      return { kind: "refused", reason: verdict.reason, client: verdict.client?.name, answer: verdict.answer };
    }
    const resume = parseAdmissionRequest(verdict.payload);
    if (!resume) return IGNORED;
    const { client } = verdict;
    const token = this.#tokenOf(client, resume);
    const { certificateKey } = this.#options;
    const payload = encodeAdmission({ instance: this.#instance, token, certificateKey });
    // A client of another make, that left no room for the answer, gets none.
    if (payload.length > verdict.answerPayloadBytes) return IGNORED;
    return {
      kind: "admitted",
      client,
      id: `${client.name} ${resume.toHex()}`,
      token,
      answer: () => verdict.answer(payload).answer,
      refuse: () => verdict.refuse(),
    };
  }

  [Symbol.dispose](): void {
    this.#responder[Symbol.dispose]();
    this.#tokenKey.fill(0);
  }

  #tokenOf(client: KnownClient, resume: Bytes): Bytes {
    using hasher = new Blake2s();
    const token = new Uint8Array(TOKEN_BYTES);
    hasher.start(TOKEN_BYTES, this.#tokenKey).update(signedBytes(VTCP_DOMAIN, [client.name, resume])).finish(token);
    return token;
  }
}
