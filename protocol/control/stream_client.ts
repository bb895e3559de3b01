/**
 * A peer's side of its control stream, and the getting back of one that was lost. Design §5.
 *
 *   idle ── start ──→ connecting ── connected ──→ proving ── auth.response ok ──→ open
 *                       ↑   │ failed                 │ refused, timeout            │ lost, silent for 30 s
 *                       │   ↓                        ↓                             ↓
 *                       └── waiting (jitter and backoff, or what the supernode asked for) ←─────────┘
 *   any of them ── stop ──→ stopped
 *
 * Of several supernodes it stays with the one that let it in; which is tried next, and when, is in `reconnect.ts`. Refused
 * for good (revoked, a wrong certificate) it tries again, but rarely, since that may be mended at the other end. Replaced by
 * a newer stream of the same identity it also waits long: of two machines with one identity neither should throw the other
 * out every second.
 *
 * A clock that is more than a minute wrong is told so by the supernode; the difference is applied to what this stream
 * signs and to the ends of what the supernode grants, and reported. A signature is good at one supernode only, so a wrong
 * time harms nobody but that supernode.
 *
 * Pure: time comes in, actions go out, to be carried out in their order.
 *
 * Not here: applying commands (`applied_commands.ts`), asking for exits, the transport.
 */

import { type CertificateRefusal, parseCertificate } from "../certificate.ts";
import type { Identity } from "../identity.ts";
import type { Primitives } from "../primitives.ts";
import type { Random } from "../random.ts";
import { type ClosedNetwork, makeAuthRequest, refusalOfAuthAnswer } from "./auth.ts";
import { type ClientEnd, endOf } from "./client_end.ts";
import type { Command, SupernodeAddress } from "./commands.ts";
import { Heartbeat } from "./heartbeat.ts";
import {
  type AuthAccepted,
  type AuthRefused,
  type AuthRequest,
  type ControlMessage,
  type ControlRole,
  type ErrorCode,
  type InfoResponse,
  parseControl,
  type Pong,
  type Resume,
  type Telemetry,
} from "./messages.ts";
import { SupernodeTime } from "./our_time.ts";
import { Reconnect } from "./reconnect.ts";

export interface StreamClientOptions {
  readonly identity: Identity;
  readonly role: ControlRole;
  readonly region: string;
  /** In the order of preference, at least one. */
  readonly supernodes: readonly SupernodeAddress[];
  /** The peer's own at present, in a closed network. */
  readonly certificate?: (() => string) | undefined;
  readonly network?: ClosedNetwork | undefined;
  readonly version?: string | undefined;
  readonly primitives: Primitives;
  readonly random: Random;
  /** Milliseconds since 1970. */
  wallNow(): number;
  /** The last command of that supernode which was finished: `AppliedCommands.resumeFor`. */
  resumeFor?(supernodeId: string): Resume | undefined;
  /** What to say of oneself with the next ping. */
  telemetry?(): Telemetry | undefined;
  /** From connecting to being let in. Default 10 s. */
  readonly openWithinMs?: number;
  /** What a supernode may ask for at most: pings so far apart, silence so long. Default 60 s and 300 s. */
  readonly patience?: { readonly pingEveryMs?: number; readonly timeoutMs?: number };
  /** Default 500 ms and 30 s. */
  readonly backoff?: { readonly baseMs?: number; readonly maxMs?: number };
}

export type StreamClientAction =
  /** Open the transport, then call `connected`, or `closed` if it fails. */
  | { readonly kind: "connect"; readonly supernode: SupernodeAddress }
  | { readonly kind: "send"; readonly message: ControlMessage }
  /** Close the transport, and report nothing of it any more. */
  | { readonly kind: "disconnect" }
  | { readonly kind: "open"; readonly supernode: SupernodeAddress; readonly answer: AuthAccepted }
  /** There is no stream now; the next try is in `retryInMs`. */
  | { readonly kind: "down"; readonly reason: ClientEnd; readonly retryInMs: number }
  | { readonly kind: "clock_skew"; readonly offsetMs: number }
  /** Why there will be no stream: our certificate, or the supernode's, does not do. */
  | { readonly kind: "bad_certificate"; readonly whose: "ours" | "supernode"; readonly refusal: CertificateRefusal }
  /** For `AppliedCommands.receive`, with `serverTimeMs`. */
  | { readonly kind: "command"; readonly command: Command; readonly supernodeId: string }
  | { readonly kind: "response"; readonly response: InfoResponse }
  | { readonly kind: "pong"; readonly rttMs: number }
  /** Something came that this side does not understand; to be counted. */
  | { readonly kind: "rejected"; readonly reason: ErrorCode };

export type ClientState = "idle" | "connecting" | "proving" | "open" | "waiting" | "stopped";

const DEFAULT_OPEN_WITHIN_MS = 10_000;
/** After the end of a supernode's certificate. */
const ASK_ANEW_WITHIN_MS = 10_000;

export class StreamClient {
  readonly #options: StreamClientOptions;
  readonly #reconnect: Reconnect;
  #state: ClientState = "idle";
  #request: AuthRequest | undefined;
  /** When the state is to be left unless something happens before. */
  #dueAtMs = Infinity;
  /** There while it is open. */
  #heartbeat: Heartbeat | undefined;
  /** When the supernode's certificate has ended. */
  #certifiedUntilMs = Infinity;
  readonly #time: SupernodeTime;
  /** How often in a row that supernode has said that our time is wrong: it is asked again once before others are. */
  #staleCount = 0;

  constructor(options: StreamClientOptions) {
    this.#options = options;
    this.#reconnect = new Reconnect(options);
    this.#time = new SupernodeTime(() => options.wallNow());
  }

  get state(): ClientState {
    return this.#state;
  }

  /** The supernode it is connected to or tries. */
  get supernode(): SupernodeAddress {
    return this.#reconnect.supernode;
  }

  /** What the supernode's clock says, by which its deadlines are meant. */
  get serverTimeMs(): number {
    return this.#time.nowMs;
  }

  get nextWakeAtMs(): number {
    if (this.#state !== "open") return this.#dueAtMs;
    return Math.min(this.#dueAtMs, this.#heartbeat!.nextAtMs, this.#certifiedUntilMs, this.#reconnect.moveAtMs);
  }

  start(nowMs: number): StreamClientAction[] {
    return this.#state === "idle" ? this.#connect(nowMs) : [];
  }

  /** Ends it for good. */
  stop(): StreamClientAction[] {
    const hadTransport = this.#hasTransport();
    this.#state = "stopped";
    this.#dueAtMs = Infinity;
    return hadTransport ? [{ kind: "disconnect" }] : [];
  }

  /**
   * Other supernodes from now on (RELAY_UPDATE, and those of the configuration behind them), best first; none is to stay.
   * An open stream is left for the first of them at some time within `withinMs`: all the peers of a supernode that is
   * being emptied are told so at once.
   */
  moveTo(supernodes: readonly SupernodeAddress[], nowMs: number, withinMs = 0): StreamClientAction[] {
    if (supernodes.length === 0 || this.#state === "stopped") return [];
    if (this.#state === "idle" || isSame(this.supernode, supernodes[0])) {
      this.#reconnect.replace(supernodes);
      return [];
    }
    const delayMs = this.#state === "open" ? this.#options.random.next() * withinMs : 0;
    this.#reconnect.planMove(supernodes, nowMs + delayMs);
    return this.#moveWhenDue(nowMs);
  }

  /** The supernode works, but is of no use: goes on to the next of the list, if there is one and it has not sent us away. */
  moveOn(nowMs: number): StreamClientAction[] {
    const waitMs = this.#state === "open" ? this.#reconnect.moveOn(nowMs) : undefined;
    return waitMs === undefined ? [] : this.#leave("moved", nowMs, waitMs);
  }

  /** What is said at the beginning of a stream has changed, such as the certificate: it is said again, at once. */
  renew(nowMs: number): StreamClientAction[] {
    if (this.#state === "idle" || this.#state === "stopped") return [];
    return this.#leave("renewed", nowMs);
  }

  /** The transport is there. */
  connected(nowMs: number): StreamClientAction[] {
    if (this.#state !== "connecting") return [];
    const { identity, role, region, random, certificate, version } = this.#options;
    const { supernodeId } = this.supernode;
    this.#state = "proving";
    this.#dueAtMs = nowMs + (this.#options.openWithinMs ?? DEFAULT_OPEN_WITHIN_MS);
    this.#request = makeAuthRequest(identity, {
      role,
      region,
      supernodeId,
      timestampMs: Math.max(0, Math.round(this.serverTimeMs)),
      random,
      certificate: certificate?.(),
      resume: this.#options.resumeFor?.(supernodeId),
      version,
    });
    return [{ kind: "send", message: this.#request }];
  }

  /** The transport is gone, or has not come about. */
  closed(nowMs: number): StreamClientAction[] {
    if (!this.#hasTransport()) return [];
    return this.#lose(this.#state === "connecting" ? "unreachable" : "lost", nowMs);
  }

  /** A text message has come. Never throws. */
  receive(text: string, nowMs: number): StreamClientAction[] {
    if (this.#state !== "proving" && this.#state !== "open") return [];
    const parsed = parseControl(text);
    if (this.#state === "proving") {
      return parsed.ok ? this.#receiveFirst(parsed.message, nowMs) : this.#give("bad_answer", nowMs);
    }
    return parsed.ok ? this.#receiveNext(parsed.message, nowMs) : unreadable(parsed.reason);
  }

  /** To be called at `nextWakeAtMs`. */
  wake(nowMs: number): StreamClientAction[] {
    if (nowMs >= this.#dueAtMs) {
      switch (this.#state) {
        case "waiting":
          return this.#connect(nowMs);
        case "connecting":
          return this.#give("unreachable", nowMs);
        case "proving":
          return this.#give("timeout", nowMs);
        case "open":
          return this.#give("silent", nowMs);
      }
    }
    if (this.#state === "open" && nowMs >= this.#certifiedUntilMs) return this.#give("expired", nowMs);
    if (nowMs >= this.#reconnect.moveAtMs) return this.#moveWhenDue(nowMs);
    return this.#state === "open" && nowMs >= this.#heartbeat!.nextAtMs ? this.#ping(nowMs) : [];
  }

  #moveWhenDue(nowMs: number): StreamClientAction[] {
    const waitMs = this.#reconnect.move(nowMs);
    return waitMs === undefined ? [] : this.#leave("moved", nowMs, waitMs);
  }

  /** Connects anew of its own accord. */
  #leave(reason: "moved" | "renewed", nowMs: number, retryInMs = 0): StreamClientAction[] {
    const leaving: StreamClientAction[] = this.#hasTransport()
      ? [{ kind: "disconnect" }, { kind: "down", reason, retryInMs }]
      : [];
    if (retryInMs === 0) return [...leaving, ...this.#connect(nowMs)];
    this.#state = "waiting";
    this.#dueAtMs = nowMs + retryInMs;
    return leaving;
  }

  #connect(nowMs: number): StreamClientAction[] {
    if (this.#time.turnTo(this.supernode.supernodeId)) this.#staleCount = 0;
    this.#state = "connecting";
    const { openWithinMs = DEFAULT_OPEN_WITHIN_MS } = this.#options;
    this.#dueAtMs = nowMs + Math.min(openWithinMs, this.#reconnect.connectWithinMs);
    return [{ kind: "connect", supernode: this.supernode }];
  }

  #receiveFirst(message: ControlMessage, nowMs: number): StreamClientAction[] {
    if (message.type === "error") return this.#give(endOf(message.code) ?? "bad_answer", nowMs, message.retryAfterMs);
    if (message.type !== "auth.response") return this.#give("bad_answer", nowMs);
    return message.ok ? this.#receiveAccepted(message, nowMs) : this.#receiveRefused(message, nowMs);
  }

  #receiveAccepted(answer: AuthAccepted, nowMs: number): StreamClientAction[] {
    const { primitives, network, random } = this.#options;
    const wallMs = this.#options.wallNow();
    const told: StreamClientAction[] = [];
    const refusal = refusalOfAuthAnswer(answer, this.#request!, {
      wallMs,
      primitives,
      network,
      onBadCertificate: (refusal) => told.push({ kind: "bad_certificate", whose: "supernode", refusal }),
    });
    if (refusal) return [...told, ...this.#give(`answer_${refusal}`, nowMs)];
    this.#state = "open";
    this.#request = undefined;
    this.#staleCount = 0;
    this.#time.set(answer.serverTimeMs);
    this.#reconnect.opened(nowMs);
    const heartbeat = this.#heartbeat = new Heartbeat(answer, random, nowMs, this.#options.patience);
    this.#dueAtMs = nowMs + heartbeat.timeoutMs;
    const proven = network && parseCertificate(answer.certificate!);
    // Those that came to one supernode do not ask it for its new certificate all at once.
    const askWithinMs = random.next() * ASK_ANEW_WITHIN_MS;
    this.#certifiedUntilMs = proven ? nowMs + proven.notAfterMs - wallMs + askWithinMs : Infinity;
    return [{ kind: "open", supernode: this.supernode, answer }];
  }

  #receiveRefused(
    { reason, certificate, retryAfterMs, serverTimeMs }: AuthRefused,
    nowMs: number,
  ): StreamClientAction[] {
    if (reason === "stale") this.#staleCount++;
    if (reason === "bad_certificate" && certificate) {
      return [{ kind: "bad_certificate", whose: "ours", refusal: certificate }, ...this.#give(reason, nowMs)];
    }
    if (reason !== "stale" || serverTimeMs === undefined) return this.#give(reason, nowMs, retryAfterMs);
    return [{ kind: "clock_skew", offsetMs: this.#time.set(serverTimeMs) }, ...this.#give(reason, nowMs)];
  }

  #receiveNext(message: ControlMessage, nowMs: number): StreamClientAction[] {
    this.#dueAtMs = nowMs + this.#heartbeat!.timeoutMs;
    switch (message.type) {
      case "pong":
        return this.#receivePong(message, nowMs);
      case "command":
        return [{
          kind: "command",
          command: this.#time.inOurs(message),
          supernodeId: this.supernode.supernodeId,
        }];
      case "info.response":
        return [{ kind: "response", response: this.#time.inOurs(message) }];
      case "error": {
        const end = endOf(message.code);
        return end ? this.#give(end, nowMs, message.retryAfterMs) : [{ kind: "rejected", reason: message.code }];
      }
      default:
        return unreadable("unexpected");
    }
  }

  #receivePong(pong: Pong, nowMs: number): StreamClientAction[] {
    const rttMs = this.#heartbeat!.answered(pong, nowMs);
    if (rttMs === undefined) return [];
    // Ours may have been set since.
    this.#time.set(pong.serverTimeMs + rttMs / 2);
    return [{ kind: "pong", rttMs }];
  }

  /** Pings before it is time: something has changed that the supernode acts upon. */
  pingNow(nowMs: number): StreamClientAction[] {
    return this.#state === "open" ? this.#ping(nowMs) : [];
  }

  #ping(nowMs: number): StreamClientAction[] {
    return [{ kind: "send", message: this.#heartbeat!.ping(this.#options.telemetry?.(), nowMs) }];
  }

  /** Ends what there is of a transport, and makes for another try. */
  #give(reason: ClientEnd, nowMs: number, retryAfterMs?: number): StreamClientAction[] {
    return [{ kind: "disconnect" }, ...this.#lose(reason, nowMs, retryAfterMs)];
  }

  #lose(reason: ClientEnd, nowMs: number, retryAfterMs = 0): StreamClientAction[] {
    const wasOpen = this.#state === "open";
    // One that had let us in, or has just told us the time, is asked again first, unless it has fallen silent.
    const isWorthAnother = wasOpen ? reason !== "silent" : reason === "stale" && this.#staleCount === 1;
    const retryInMs = this.#reconnect.after({ reason, wasOpen, retryAfterMs, isWorthAnother }, nowMs);
    this.#state = "waiting";
    this.#request = undefined;
    this.#dueAtMs = nowMs + retryInMs;
    return [{ kind: "down", reason, retryInMs }];
  }

  #hasTransport(): boolean {
    return this.#state === "connecting" || this.#state === "proving" || this.#state === "open";
  }
}

function unreadable(code: ErrorCode): StreamClientAction[] {
  return [{ kind: "send", message: { type: "error", code } }, { kind: "rejected", reason: code }];
}

function isSame(one: SupernodeAddress, other: SupernodeAddress | undefined): boolean {
  return one.url === other?.url && one.supernodeId === other.supernodeId;
}
