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
import deno from "../../deno.json" with { type: "json" };
import { Admission, type AdmissionDeps } from "../../edge/directory/admission.ts";
import { ROOT_PATHS, serveDescription } from "../../edge/api_description.ts";
import { openApiOf } from "../../edge/openapi.ts";
import { Problem } from "../../edge/problem.ts";
import { verifyCertificate } from "../../protocol/certificate.ts";
import { type ClosedNetwork, SUPERNODE_ROLE } from "../../protocol/control/auth.ts";
import { AuthLimits } from "../../protocol/control/auth_limits.ts";
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
import type { Random } from "../../protocol/random.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import { peeringApi } from "./peering_operations.ts";
import { CERTIFICATE_HEADER, nothingSchema, PEERING_PATHS } from "./peering_schema.ts";

export interface PeeringApiDeps extends AdmissionDeps {
  /** This supernode's peer id: what another was asked cannot be passed on to it. */
  readonly recipient: string;
  readonly network?: ClosedNetwork | undefined;
  readonly log: Log;
  readonly metrics: Metrics;
  exits(request: ExitPeerRequest): ExitPeerResponse;
  setUp(request: ExitSetupRequest, supernodeId: string): Promise<ExitSetupResponse>;
  end(request: ExitEndRequest, supernodeId: string): Promise<void>;
  notice(notice: ExitNotice, supernodeId: string): Promise<void>;
  check(check: SessionCheck, supernodeId: string): Promise<SessionCheckResponse>;
  relayToken(supernodeId: string): string;
}

export interface PeeringEnv {
  readonly Bindings: { readonly remoteAddress?: string | undefined };
}

/**
 * How often one address and one supernode may ask. Each session of a client whose exit is here takes three requests, and
 * when an exit with a thousand clients fails, they all come at once.
 */
export function peeringLimits(random: Random): AuthLimits {
  return new AuthLimits(random, {
    address: { perSecond: 500, burst: 5000 },
    peer: { perSecond: 300, burst: 3000 },
  });
}

export function createPeeringApi(deps: PeeringApiDeps): Hono<PeeringEnv> {
  const app = new Hono<PeeringEnv>();
  const admission = new Admission(deps);
  const requests = deps.metrics.counter(
    "peering_requests_total",
    "Requests of other supernodes by operation and by how they ended: ok, or the code of the problem",
    ["operation", "result"],
  );
  const refuse = (problem: Problem, operation: string) => {
    requests.add(1, { operation, result: problem.code });
    return problem.response();
  };

  function serve<S extends z.ZodType>(
    operation: keyof typeof PEERING_PATHS,
    schema: S,
    handle: (body: z.output<S>, supernodeId: string) => unknown,
  ): void {
    app.post(PEERING_PATHS[operation], async (context) => {
      const refusal = admission.refusalOfAddress(context.req.raw, context.env.remoteAddress);
      if (refusal) return refuse(refusal, operation);
      // Saying which exits there are changes nothing, so that a replay need not be found out beyond a restart.
      const changes = operation !== "exits";
      const admitted = await admission.admit(context.req.raw, { schema, signer: "supernode", changes });
      if (admitted instanceof Problem) return refuse(admitted, operation);
      const { peerId } = admitted.signature;
      const problem = refusalOfCertificate(context.req.header(CERTIFICATE_HEADER), peerId, deps);
      if (problem) return refuse(problem, operation);
      const answer = await handle(admitted.body, peerId) ?? { ok: true };
      requests.add(1, { operation, result: "ok" });
      return context.json(answer);
    });
  }

  serve("exits", exitPeerRequestSchema, (body) => deps.exits(body));
  serve("setups", exitSetupRequestSchema, (body, supernodeId) => deps.setUp(body, supernodeId));
  serve("ends", exitEndRequestSchema, (body, supernodeId) => deps.end(body, supernodeId));
  serve("notices", exitNoticeSchema, (body, supernodeId) => deps.notice(body, supernodeId));
  serve("checks", sessionCheckSchema, (body, supernodeId) => deps.check(body, supernodeId));
  serve("tokens", nothingSchema, (_, supernodeId) => ({ relayToken: deps.relayToken(supernodeId) }));
  for (const path of Object.values(ROOT_PATHS)) {
    app.use(path, async (context, next) => {
      const refusal = admission.refusalOfAddress(context.req.raw, context.env?.remoteAddress);
      return refusal ? refuse(refusal, "any") : await next();
    });
  }
  serveDescription(app, () => openApiOf(peeringApi(deno.version)));
  app.get("/healthz", (context) => context.json({ status: "ok" }));
  app.notFound(() => refuse(new Problem("not_found", "Cannot answer: there is nothing at this path"), "any"));
  app.onError((error) => {
    deps.log.error("A supernode's request failed", { error: messageOf(error) });
    return refuse(new Problem("unavailable", "Cannot answer now: try again", { retryAfterMs: 1000 }), "any");
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
