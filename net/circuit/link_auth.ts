/**
 * Who may have a link to a relay: the dialler's request for a WebSocket is signed (RFC 9421) by its identity, for this
 * relay and for the role it comes in, and in a closed network it brings a certificate for that role.
 *
 *   GET {url of the relay}/v1/circuit?role=client|relay|gateway        and /v1/meet/…, `peers/meeting_links.ts`
 *   culvert-recipient, content-digest, signature-input, signature      `protocol/http_signature.ts`
 *   culvert-certificate                                                closed networks
 *
 *   signLink, at the dialler ─▶ LinkGuard.verify, at the relay
 *
 * A request passes once, and for a minute at most. The certificate need not be signed: it is bound to the peer id.
 */

import { verifyCertificate } from "../../protocol/certificate.ts";
import type { Clock } from "../../protocol/clock.ts";
import type { ClosedNetwork } from "../../protocol/control/auth.ts";
import { Nonces } from "../../protocol/control/nonces.ts";
import { type RequestHead, type RequestSigner, signRequest, verifyRequest } from "../../protocol/http_signature.ts";
import type { MEETING_ROLE } from "../../protocol/peers/meeting.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import type { Random } from "../../protocol/random.ts";
import { type WebsocketAddress, websocketAddress } from "../websocket_dial.ts";

/** Below a relay's URL. */
export const CIRCUIT_LINK_PATH = "/v1/circuit";
export const CERTIFICATE_HEADER = "culvert-certificate";
export const LINK_ROLES = ["client", "relay", "gateway"] as const;
export type LinkRole = typeof LINK_ROLES[number];
/** As what one may come: for circuits, or to meet others. */
export type AnyLinkRole = LinkRole | typeof MEETING_ROLE;

const NO_BODY = new Uint8Array(0);

export interface LinkSigning {
  readonly signer: RequestSigner;
  readonly role: AnyLinkRole;
  /** Below the relay's URL. Default: where circuits are. */
  readonly path?: string | undefined;
  /** The relay's peer id. */
  readonly recipient: string;
  /** For closed networks. */
  readonly certificate?: string | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly primitives: Primitives;
}

/** What to dial for a link to the relay at `relayUrl`, and with which headers; good for one dial, now. */
export function signLink(
  relayUrl: string,
  { signer, role, path = CIRCUIT_LINK_PATH, recipient, certificate, clock, random, primitives }: LinkSigning,
): { readonly address: WebsocketAddress; readonly headers: Readonly<Record<string, string>> } {
  const url = new URL(relayUrl);
  url.pathname = url.pathname.replace(/\/$/, "") + path;
  url.search = `?role=${role}`;
  const headers = signRequest({ method: "GET", url: url.href }, NO_BODY, {
    signer,
    recipient,
    wallNowMs: clock.wallNow(),
    random,
    primitives,
  });
  return {
    address: websocketAddress(url),
    headers: certificate === undefined ? headers : { ...headers, [CERTIFICATE_HEADER]: certificate },
  };
}

export interface LinkGuardOptions<Role extends AnyLinkRole> {
  /** The relay's own peer id. */
  readonly recipient: string;
  /** As what one may come. */
  readonly roles: readonly Role[];
  /** Left out: the network is open, and any identity may have a link. */
  readonly network?: ClosedNetwork | undefined;
  readonly clock: Clock;
  readonly primitives: Primitives;
}

/** `reason` is one of few words, fit for a metric. */
export type LinkVerdict<Role extends AnyLinkRole> =
  | { readonly ok: true; readonly peerId: string; readonly role: Role }
  | LinkRefusal;

export interface LinkRefusal {
  readonly ok: false;
  readonly status: 401 | 403 | 503;
  readonly reason: string;
}

export class LinkGuard<Role extends AnyLinkRole> {
  readonly #options: LinkGuardOptions<Role>;
  readonly #seen = new Nonces();

  constructor(options: LinkGuardOptions<Role>) {
    this.#options = options;
  }

  /** Whether the request may have a link. To be asked once for each, as it remembers those it lets pass. */
  verify(request: RequestHead): LinkVerdict<Role> {
    const { recipient, roles, clock, primitives } = this.#options;
    const role = roleOf(request.url, roles);
    if (!role) return refused(403, "wrong_role");
    const wallNowMs = clock.wallNow();
    const verdict = verifyRequest(request, NO_BODY, { recipient, wallNowMs, primitives });
    if (!verdict.ok) return refused(401, verdict.fault);
    const { peerId, nonce, goodUntilMs } = verdict.signature;
    const refusal = this.#refusalOf(request, { peerId, role, wallNowMs });
    if (refusal) return refused(403, refusal);
    if (goodUntilMs < this.#seen.forgottenBeforeMs) return refused(401, "stale");
    const isNew = this.#seen.remember(`${peerId} ${nonce}`, goodUntilMs, wallNowMs);
    if (isNew === undefined) return refused(503, "full");
    return isNew ? { ok: true, peerId, role } : refused(401, "replayed");
  }

  #refusalOf(
    request: RequestHead,
    { peerId, role, wallNowMs }: { peerId: string; role: Role; wallNowMs: number },
  ): string | undefined {
    const { network, primitives } = this.#options;
    if (!network) return undefined;
    const certificate = request.headers.get(CERTIFICATE_HEADER);
    if (certificate === null) return "no_certificate";
    const verdict = verifyCertificate(certificate, { ...network, peerId, role, nowMs: wallNowMs, primitives });
    return verdict.ok ? undefined : verdict.reason;
  }
}

function roleOf<Role extends AnyLinkRole>(url: string, roles: readonly Role[]): Role | undefined {
  const role = URL.parse(url)?.searchParams.get("role");
  return roles.find((each) => each === role);
}

function refused(status: 401 | 403 | 503, reason: string): LinkRefusal {
  return { ok: false, status, reason };
}
