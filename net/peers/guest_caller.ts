/**
 * Calls guests back who have come by a relay: dials them where they say that they can be dialled, and shows them which knock
 * the call is for.
 *
 * A guest must not make us dial what it likes: names, and addresses that are not public, are left out unless told otherwise.
 */

import { deadline } from "../../protocol/clock.ts";
import { messageOf } from "../../protocol/errors.ts";
import { DEFAULT_ATTEMPT_DELAY_MS, race } from "../../protocol/happy_eyeballs.ts";
import { type IpAddress, parseIp } from "../../protocol/ip.ts";
import { classify } from "../../protocol/ip_class.ts";
import type { CallBack } from "../../protocol/peers/knock.ts";
import { parseTarget, type Target } from "../../protocol/stream.ts";
import type { SealedStream } from "../sealed_stream.ts";
import type { PeerParts } from "./peer_parts.ts";
import type { HeardKnock, SealedKnocks } from "./sealed_knock.ts";

export interface GuestCallerOptions extends Pick<PeerParts, "clock" | "log"> {
  /** Whether a guest may have us dial that address to call it back. Default: public ones only. */
  mayCallBack?(address: IpAddress): boolean;
}

/** Who is to be called, and where. */
export interface CalledGuest extends Pick<HeardKnock, "sealingKey"> {
  readonly peerId: string;
  readonly callBack: CallBack;
}

const TIMEOUT_MS = 5_000;
/** Calls at once; more guests stay with their relays. */
const MAX_CALLS = 32;

export class GuestCaller {
  readonly #options: GuestCallerOptions;
  readonly #knocks: Pick<SealedKnocks, "call">;
  #calls = 0;

  constructor(options: GuestCallerOptions, knocks: Pick<SealedKnocks, "call">) {
    this.#options = options;
    this.#knocks = knocks;
  }

  /** A connection to the guest, on which it may open streams; undefined when there is none to be had. */
  async call(guest: CalledGuest, parent: AbortSignal): Promise<SealedStream | undefined> {
    const { clock, log } = this.#options;
    const targets = guest.callBack.addresses.flatMap((text) => this.#allowed(parseTarget(text)));
    if (targets.length === 0 || this.#calls >= MAX_CALLS) return undefined;
    this.#calls++;
    try {
      using limit = deadline(clock, TIMEOUT_MS, "call a guest back", parent);
      const { signal } = limit;
      const attemptDelayMs = DEFAULT_ATTEMPT_DELAY_MS;
      const conn = await race(targets, { clock, attemptDelayMs, signal, connect });
      conn.setNoDelay(true);
      return await this.#knocks.call(conn, { guest, token: guest.callBack.token, signal });
    } catch (error) {
      log.debug("A guest cannot be called back", { peer_id: guest.peerId, error: messageOf(error) });
      return undefined;
    } finally {
      this.#calls--;
    }
  }

  #allowed(target: Target | undefined): Target[] {
    const { mayCallBack = isPublic } = this.#options;
    const address = target && parseIp(target.host);
    return address && mayCallBack(address) ? [target] : [];
  }
}

function isPublic(address: IpAddress): boolean {
  return classify(address) === "public";
}

function connect({ host, port }: Target, signal: AbortSignal): Promise<Deno.TcpConn> {
  return Deno.connect({ hostname: host, port, signal });
}
