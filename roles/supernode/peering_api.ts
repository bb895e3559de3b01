/**
 * What other supernodes may ask of this one, over signed HTTP: its exits for their clients (RequestExitPeer), to set them
 * up and let them go, to hear of exits in trouble, and a token for a data link.
 *
 *   address's rate → signature → signer's rate → nonce → block → certificate (closed networks) → schema → answer
 *
 * A supernode may only end and hear of sessions of its own: of its clients, or at its exits.
 */

import { Hono } from "hono";
import type { z } from "zod";
import { Admission, type AdmissionDeps } from "../../edge/directory/admission.ts";
import { Problem } from "../../edge/problem.ts";
import { verifyCertificate } from "../../protocol/certificate.ts";
import { type ClosedNetwork, SUPERNODE_ROLE } from "../../protocol/control/auth.ts";
import {
  type ExitEndRequest,
  exitEndRequestSchema,
  type ExitNotice,
  exitNoticeSchema,
  type ExitPeerRequest,
  exitPeerRequestSchema,
  type ExitPeerResponse,
  type ExitSetupRequest,
  exitSetupRequestSchema,
  type ExitSetupResponse,
  type SessionCheck,
  type SessionCheckResponse,
  sessionCheckSchema,
} from "../../protocol/directory.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import { CERTIFICATE_HEADER, nothingSchema, PEERING_PATHS } from "./peering_schema.ts";

export interface PeeringApiDeps extends AdmissionDeps {
  /** This supernode's peer id: what another was asked cannot be passed on to it. */
  readonly recipient: string;
  readonly network?: ClosedNetwork | undefined;
  readonly log: Log;
  exits(request: ExitPeerRequest): ExitPeerResponse;
  setUp(request: ExitSetupRequest, supernodeId: string): Promise<ExitSetupResponse>;
  end(request: ExitEndRequest, supernodeId: string): Promise<void>;
  notice(notice: ExitNotice, supernodeId: string): Promise<void>;
  check(check: SessionCheck, supernodeId: string): SessionCheckResponse;
  relayToken(supernodeId: string): string;
}

export interface PeeringEnv {
  readonly Bindings: { readonly remoteAddress: string };
}

export function createPeeringApi(deps: PeeringApiDeps): Hono<PeeringEnv> {
  const app = new Hono<PeeringEnv>();
  const admission = new Admission(deps);

  function serve<S extends z.ZodType>(
    path: string,
    schema: S,
    handle: (body: z.output<S>, supernodeId: string) => unknown,
  ): void {
    app.post(path, async (context) => {
      const refusal = admission.refusalOfAddress(context.req.raw, context.env.remoteAddress);
      if (refusal) return refusal.response();
      const admitted = await admission.admit(context.req.raw, { schema, signer: "supernode", changes: true });
      if (admitted instanceof Problem) return admitted.response();
      const { peerId } = admitted.signature;
      const problem = refusalOfCertificate(context.req.header(CERTIFICATE_HEADER), peerId, deps);
      if (problem) return problem.response();
      return context.json(await handle(admitted.body, peerId) ?? { ok: true });
    });
  }

  serve(PEERING_PATHS.exits, exitPeerRequestSchema, (body) => deps.exits(body));
  serve(PEERING_PATHS.setups, exitSetupRequestSchema, (body, supernodeId) => deps.setUp(body, supernodeId));
  serve(PEERING_PATHS.ends, exitEndRequestSchema, (body, supernodeId) => deps.end(body, supernodeId));
  serve(PEERING_PATHS.notices, exitNoticeSchema, (body, supernodeId) => deps.notice(body, supernodeId));
  serve(PEERING_PATHS.checks, sessionCheckSchema, (body, supernodeId) => deps.check(body, supernodeId));
  serve(PEERING_PATHS.tokens, nothingSchema, (_, supernodeId) => ({ relayToken: deps.relayToken(supernodeId) }));
  app.get("/healthz", (context) => context.json({ status: "ok" }));
  app.notFound(() => new Problem("not_found", "Cannot answer: there is nothing at this path").response());
  app.onError((error) => {
    deps.log.error("A supernode's request failed", { error: messageOf(error) });
    return new Problem("unavailable", "Cannot answer now: try again", { retryAfterMs: 1000 }).response();
  });
  return app;
}

/** In a closed network only certified supernodes are answered. */
function refusalOfCertificate(text: string | undefined, peerId: string, deps: PeeringApiDeps): Problem | undefined {
  const { network, primitives, clock } = deps;
  if (!network) return undefined;
  if (text === undefined) {
    return new Problem(
      "no_certificate",
      "Cannot answer: this network is closed, so a supernode's certificate is needed",
    );
  }
  const verdict = verifyCertificate(text, {
    networkPublicKey: network.networkPublicKey,
    peerId,
    role: SUPERNODE_ROLE,
    nowMs: clock.wallNow(),
    primitives,
    ...(network.isRevoked && { isRevoked: network.isRevoked }),
  });
  if (verdict.ok) return undefined;
  return new Problem("bad_certificate", `Cannot answer: the certificate must fit, got ${verdict.reason}`);
}
