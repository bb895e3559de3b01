/**
 * One control stream at its supernode. Design §5.
 *
 *   unproven ── auth.request is good: `proven` ──→ proven ── owner: accept ──→ open ──→ closed
 *      │ anything else, or nothing in time            │ owner: refuse            │ no word for 30 s, `end`, `closed`
 *      └────────────────────→ closed ←────────────────┘                          └─ the queue is let go of, whole
 *
 * Between `proven` and `accept` the owner looks up what takes time: nonces shared with other processes, the peer's stored
 * queue. Of two streams of one peer the newest wins: before it accepts one, the owner calls `end("replaced")` on the
 * other, which lets go of the queue.
 *
 * What a stranger can cost is one message of 8 KiB and, within the rate of its address, one signature. What a peer can
 * cost is bounded by `chatter`: messages beyond that rate which no command called for end the stream. An unknown type, or
 * a message that is not well-formed, is answered with an error and counted, since a newer peer may have more to say.
 *
 * Pure: time comes in, actions go out, to be carried out in their order. Idle, one of these weighs about a kilobyte;
 * everything they share is in the context. `nextWakeAtMs` says when `wake` is due; a sweep every second is good enough.
 *
 * Not here: who may have which exit, what a command is for, and what a slow reader's buffer may hold.
 */

import { type CertificateRefusal, parseCertificate } from "../certificate.ts";
import type { Identity } from "../identity.ts";
import type { IpAddress } from "../ip.ts";
import type { Primitives } from "../primitives.ts";
import type { PeerKeys } from "../fields.ts";
import { type ClosedNetwork, makeAuthAnswer, type NonceMemory, refusalOfAuth } from "./auth.ts";
import type { AuthLimits } from "./auth_limits.ts";
import type { CommandQueue, QueueAction } from "./command_queue.ts";
import {
  type AuthRefusal,
  type AuthRequest,
  type ControlMessage,
  type ControlRole,
  type ErrorCode,
  type InfoRequest,
  MAX_AUTH_REQUEST_BYTES,
  MAX_MESSAGE_BYTES,
  parseControl,
  type ParseFailure,
  type Telemetry,
} from "./messages.ts";

export interface StreamServerOptions {
  /** A stream that has not shown who it is by then is closed. Default 10 s. */
  readonly authWithinMs?: number;
  /** How often peers are told to ping. Default 10 s. */
  readonly pingEveryMs?: number;
  /** Without a word for so long a stream is dead. Default 30 s. */
  readonly timeoutMs?: number;
  /** Messages that no command called for. Default 5 a second, 50 at once. */
  readonly chatter?: { readonly perSecond: number; readonly burst: number };
}

/** What all streams of a supernode share. */
export interface StreamServerContext extends StreamServerOptions {
  readonly identity: Identity;
  readonly region: string;
  /** The supernode's own, in a closed network. */
  readonly certificate?: (() => string) | undefined;
  readonly network?: ClosedNetwork | undefined;
  readonly primitives: Primitives;
  readonly nonces: NonceMemory;
  readonly limits: AuthLimits;
  readonly isRevokedPeer?: ((peerId: string) => boolean) | undefined;
  /** Why nobody can be let in at present, and when to come back. Asked before anything that costs. */
  readonly isFull?:
    | (() => { readonly reason: "busy" | "draining"; readonly retryAfterMs: number } | undefined)
    | undefined;
  /** Milliseconds since 1970. */
  wallNow(): number;
}

/** Who is at the other end, as it has proven. */
export interface AuthenticatedPeer extends PeerKeys {
  readonly role: ControlRole;
  readonly region: string;
  readonly version?: string | undefined;
}

export type StreamEnd =
  | "refused"
  | "timeout"
  | "too_large"
  | "too_fast"
  | "unexpected"
  | "replaced"
  | "revoked"
  | "expired"
  | "shutdown"
  | "internal";

export type StreamServerAction =
  | { readonly kind: "send"; readonly message: ControlMessage }
  /** Close the transport, with a WebSocket status code (RFC 6455 §7.4), after what was sent before. */
  | { readonly kind: "close"; readonly code: number; readonly reason: StreamEnd }
  /** Now call `accept` or `refuse`. */
  | { readonly kind: "proven"; readonly peer: AuthenticatedPeer; readonly request: AuthRequest }
  /** To be counted. */
  | { readonly kind: "refused"; readonly reason: AuthRefusal }
  /** To be counted. */
  | { readonly kind: "rejected"; readonly reason: ErrorCode }
  /** With every ping. */
  | { readonly kind: "heartbeat"; readonly telemetry: Telemetry | undefined }
  /** To be answered with an `info.response` of the same id. */
  | { readonly kind: "request"; readonly request: InfoRequest }
  | Exclude<QueueAction, { kind: "send" }>;

export interface Acceptance {
  readonly queue: CommandQueue;
  readonly relayToken?: string | undefined;
}

interface RefusalDetails {
  readonly retryAfterMs?: number | undefined;
  /** What is wrong with the certificate. */
  readonly certificate?: CertificateRefusal | undefined;
}

const DEFAULTS = { authWithinMs: 10_000, pingEveryMs: 10_000, timeoutMs: 30_000, chatter: { perSecond: 5, burst: 50 } };

const CLOSE_NORMAL = 1000;
const CLOSE_GOING_AWAY = 1001;
const CLOSE_POLICY = 1008;
const CLOSE_TOO_LARGE = 1009;
const CLOSE_INTERNAL = 1011;
const CLOSE_CODES: Readonly<Record<StreamEnd, number>> = {
  refused: CLOSE_POLICY,
  timeout: CLOSE_POLICY,
  too_large: CLOSE_TOO_LARGE,
  too_fast: CLOSE_POLICY,
  unexpected: CLOSE_POLICY,
  replaced: CLOSE_NORMAL,
  revoked: CLOSE_POLICY,
  expired: CLOSE_POLICY,
  shutdown: CLOSE_GOING_AWAY,
  internal: CLOSE_INTERNAL,
};

export class StreamServer {
  readonly #context: StreamServerContext;
  #state: "unproven" | "proven" | "open" | "closed" = "unproven";
  #address: IpAddress | undefined;
  /** Between `proven` and `accept`. */
  #request: AuthRequest | undefined;
  #peer: AuthenticatedPeer | undefined;
  #queue: CommandQueue | undefined;
  /** When the stream is dead unless there is a word before. */
  #deadAtMs: number;
  /** When the certificate ends with which the peer was let in. */
  #certifiedUntilMs = Infinity;
  /** When the peer may have its full burst of chatter again. */
  #quietAtMs = -Infinity;

  constructor(context: StreamServerContext, address: IpAddress, nowMs: number) {
    this.#context = context;
    this.#address = address;
    this.#deadAtMs = nowMs + (context.authWithinMs ?? DEFAULTS.authWithinMs);
  }

  get state(): "unproven" | "proven" | "open" | "closed" {
    return this.#state;
  }

  /** From `proven` on. */
  get peer(): AuthenticatedPeer | undefined {
    return this.#peer;
  }

  get nextWakeAtMs(): number {
    if (this.#state === "closed") return Infinity;
    return Math.min(this.#deadAtMs, this.#certifiedUntilMs, this.#queue?.nextWakeAtMs ?? Infinity);
  }

  /** A text message has come. Never throws. */
  receive(text: string, nowMs: number): StreamServerAction[] {
    switch (this.#state) {
      case "unproven":
        return this.#receiveFirst(text, nowMs);
      case "proven":
        // Whoever has not been let in yet has nothing to say.
        return this.#reject("unexpected");
      case "open":
        return this.#receiveNext(text, nowMs);
      case "closed":
        return [];
    }
  }

  /** A message that is not text has come. */
  receiveBinary(): StreamServerAction[] {
    if (this.#state === "unproven") return this.#refuse("malformed");
    return this.#state === "closed" ? [] : this.#reject("unexpected");
  }

  /** A message has begun that is longer than any may be, of which nothing was kept. */
  receiveTooLarge(): StreamServerAction[] {
    if (this.#state === "unproven") return this.#refuse("too_large");
    return this.#state === "closed" ? [] : this.#reject("too_large");
  }

  /** Lets the peer in, and sends what has been waiting for it. */
  accept({ queue, relayToken }: Acceptance, nowMs: number): StreamServerAction[] {
    if (this.#state !== "proven") return [];
    const { identity, region, certificate } = this.#context;
    const { pingEveryMs = DEFAULTS.pingEveryMs, timeoutMs = DEFAULTS.timeoutMs } = this.#context;
    const request = this.#request!;
    this.#state = "open";
    this.#request = undefined;
    this.#queue = queue;
    this.#deadAtMs = nowMs + timeoutMs;
    const serverTimeMs = this.#context.wallNow();
    const proven = this.#context.network && parseCertificate(request.certificate ?? "");
    if (proven) this.#certifiedUntilMs = nowMs + proven.notAfterMs - serverTimeMs;
    const options = { region, serverTimeMs, pingEveryMs, timeoutMs, relayToken, certificate: certificate?.() };
    const isSameSupernode = request.resume?.supernodeId === identity.peerId;
    return [
      { kind: "send", message: makeAuthAnswer(request, identity, options) },
      ...queue.connected(isSameSupernode ? request.resume!.lastSequence : undefined, nowMs),
    ];
  }

  /** Does not let the peer in. */
  refuse(reason: AuthRefusal, retryAfterMs?: number): StreamServerAction[] {
    return this.#state === "unproven" || this.#state === "proven" ? this.#refuse(reason, { retryAfterMs }) : [];
  }

  /** Ends the stream from our side. */
  end(reason: "replaced" | "revoked" | "shutdown" | "internal", retryAfterMs?: number): StreamServerAction[] {
    if (this.#state === "closed") return [];
    return [errorMessage(reason, retryAfterMs), ...this.#close(reason)];
  }

  /** The transport is gone. */
  closed(): void {
    this.#close("internal");
  }

  /** To be called at `nextWakeAtMs`. */
  wake(nowMs: number): StreamServerAction[] {
    if (this.#state === "closed") return [];
    if (nowMs >= this.#deadAtMs) {
      if (this.#state !== "open") return this.#refuse("timeout");
      return [errorMessage("timeout"), { kind: "rejected", reason: "timeout" }, ...this.#close("timeout")];
    }
    if (nowMs >= this.#certifiedUntilMs) return this.#reject("expired");
    return this.#queue && nowMs >= this.#queue.nextWakeAtMs ? this.#queue.wake(nowMs) : [];
  }

  #receiveFirst(text: string, nowMs: number): StreamServerAction[] {
    const full = this.#context.isFull?.();
    if (full) return this.#refuse(full.reason, full);
    const waitMs = this.#context.limits.takeAddress(this.#address!, nowMs);
    if (waitMs > 0) return this.#refuse("rate_limited", { retryAfterMs: waitMs });
    const parsed = parseControl(text, MAX_AUTH_REQUEST_BYTES);
    if (!parsed.ok) return this.#refuse(parsed.reason === "unknown_type" ? "wrong_first_message" : parsed.reason);
    const request = parsed.message;
    if (request.type !== "auth.request") return this.#refuse("wrong_first_message");
    let peerWaitMs = 0;
    let certificate: CertificateRefusal | undefined;
    const { identity, primitives, nonces, network, isRevokedPeer, limits } = this.#context;
    const reason = refusalOfAuth(request, {
      supernodeId: identity.peerId,
      wallMs: this.#context.wallNow(),
      primitives,
      nonces,
      network,
      isRevokedPeer,
      onBadCertificate: (refusal) => certificate = refusal,
      allowPeer: (peerId) => (peerWaitMs = limits.takePeer(peerId, nowMs)) === 0,
    });
    if (reason) return this.#refuse(reason, { certificate, ...(peerWaitMs > 0 && { retryAfterMs: peerWaitMs }) });
    this.#state = "proven";
    this.#address = undefined;
    this.#request = request;
    this.#peer = peerOf(request);
    return [{ kind: "proven", peer: this.#peer, request }];
  }

  #receiveNext(text: string, nowMs: number): StreamServerAction[] {
    const parsed = parseControl(text, MAX_MESSAGE_BYTES);
    if (!parsed.ok) return this.#receiveUnreadable(parsed.reason, nowMs);
    const { message } = parsed;
    this.#deadAtMs = nowMs + (this.#context.timeoutMs ?? DEFAULTS.timeoutMs);
    if (message.type === "command.result") {
      const actions = this.#queue!.answered(message, nowMs);
      return actions.length > 0 || this.#mayChatter(nowMs) ? actions : this.#reject("too_fast");
    }
    if (!this.#mayChatter(nowMs)) return this.#reject("too_fast");
    switch (message.type) {
      case "ping": {
        const serverTimeMs = this.#context.wallNow();
        return [
          { kind: "send", message: { type: "pong", sequence: message.sequence, serverTimeMs } },
          { kind: "heartbeat", telemetry: message.telemetry },
        ];
      }
      case "info.request":
        return [{ kind: "request", request: message }];
      case "error":
        return [];
      default:
        return [errorMessage("unexpected"), { kind: "rejected", reason: "unexpected" }];
    }
  }

  #receiveUnreadable(reason: ParseFailure, nowMs: number): StreamServerAction[] {
    if (reason === "too_large") return this.#reject("too_large");
    if (!this.#mayChatter(nowMs)) return this.#reject("too_fast");
    return [errorMessage(reason), { kind: "rejected", reason }];
  }

  #mayChatter(nowMs: number): boolean {
    const { perSecond, burst } = this.#context.chatter ?? DEFAULTS.chatter;
    const quietAtMs = Math.max(this.#quietAtMs, nowMs) + 1000 / perSecond;
    if (quietAtMs - nowMs > burst * 1000 / perSecond) return false;
    this.#quietAtMs = quietAtMs;
    return true;
  }

  #refuse(reason: AuthRefusal, details: RefusalDetails = {}): StreamServerAction[] {
    const { retryAfterMs, certificate } = details;
    return [
      {
        kind: "send",
        message: {
          type: "auth.response",
          ok: false,
          reason,
          ...(retryAfterMs !== undefined && { retryAfterMs: Math.ceil(retryAfterMs) }),
          ...(certificate !== undefined && { certificate }),
          ...(reason === "stale" && { serverTimeMs: this.#context.wallNow() }),
        },
      },
      { kind: "refused", reason },
      ...this.#close("refused"),
    ];
  }

  #reject(reason: "unexpected" | "too_large" | "too_fast" | "expired"): StreamServerAction[] {
    return [errorMessage(reason), { kind: "rejected", reason }, ...this.#close(reason)];
  }

  #close(reason: StreamEnd): StreamServerAction[] {
    if (this.#state === "closed") return [];
    this.#state = "closed";
    this.#queue?.disconnected();
    this.#queue = undefined;
    this.#request = undefined;
    return [{ kind: "close", code: CLOSE_CODES[reason], reason }];
  }
}

function errorMessage(code: ErrorCode, retryAfterMs?: number): StreamServerAction {
  return {
    kind: "send",
    message: { type: "error", code, ...(retryAfterMs !== undefined && { retryAfterMs: Math.ceil(retryAfterMs) }) },
  };
}

/** What is kept for as long as the stream is there: not the request, with its nonce and signature. */
function peerOf(request: AuthRequest): AuthenticatedPeer {
  const { peerId, publicKey, wireguardKey, wireguardSignature, certificate, role, region, version } = request;
  return {
    peerId,
    publicKey,
    wireguardKey,
    wireguardSignature,
    role,
    region,
    ...(certificate !== undefined && { certificate }),
    ...(version !== undefined && { version }),
  };
}
