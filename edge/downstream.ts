/**
 * The downstream as a Hono app, for any host or Deno Deploy.
 *
 *   GET  /v1/hop       a WebSocket for centrals of the directory (`protocol/fragment/hop_seal.ts`)
 *   GET  /v1/mailbox   a WebSocket for a client: its first message is its claim, then it is given what central posts
 *   POST /v1/mailbox   a poll: 200 with what has come, 204 when nothing has in some seconds, else problem+json
 *   GET  /healthz
 *   GET  /, /openapi.json   the same described, for whoever may use it
 *
 * Not here: what becomes of a message (`downstream/relay.ts`), listening, TLS, registering with base.
 */

import type { Context, Hono } from "hono";
import { CLAIM_BYTES } from "../protocol/fragment/messages.ts";
import { serveDescription } from "./api_description.ts";
import { downstreamApi, HOP_PATH, MAILBOX_PATH } from "./downstream/api.ts";
import { HOP_BOUNDS, LISTENER_BOUNDS } from "./downstream/limits.ts";
import type { DownstreamRelay } from "./downstream/relay.ts";
import { openApiOf } from "./openapi.ts";
import { Problem } from "./problem.ts";
import { readBody } from "./read_body.ts";
import {
  asksForWebSocket,
  Doorkeeper,
  guardRelay,
  relayApp,
  type RelayAppDeps,
  type RelayEnv,
  upgradeRequired,
} from "./relay_app.ts";

export { HOP_PATH, MAILBOX_PATH } from "./downstream/api.ts";

const MAX_POLL_BYTES = CLAIM_BYTES + 4;

export interface DownstreamDeps extends RelayAppDeps {
  readonly relay: DownstreamRelay;
}

export function createDownstream(deps: DownstreamDeps): Hono<RelayEnv> {
  const app = relayApp(deps);
  const door = new Doorkeeper(deps.relay, deps);
  const { relay } = deps;
  guardRelay(app, door, [MAILBOX_PATH]);
  serveDescription(app, () => openApiOf(downstreamApi(deps.version)));
  app.get(MAILBOX_PATH, (context) => {
    if (!asksForWebSocket(context)) return upgradeRequired();
    const { response, channel } = deps.upgrade(context.req.raw, LISTENER_BOUNDS);
    relay.listen(channel, context.env.remoteAddress);
    return response;
  });
  app.post(MAILBOX_PATH, (context) => poll(context, relay));
  app.get(HOP_PATH, (context) => {
    if (!asksForWebSocket(context)) return upgradeRequired();
    const refusal = relay.refusalOf(context.env.remoteAddress);
    if (refusal) return refusal.response();
    const { response, channel } = deps.upgrade(context.req.raw, HOP_BOUNDS);
    relay.joinHop(channel);
    return response;
  });
  return app;
}

async function poll(context: Context<RelayEnv>, relay: DownstreamRelay): Promise<Response> {
  const { raw } = context.req;
  const body = await readBody(raw, MAX_POLL_BYTES);
  if (!body) {
    return relay.refuse("too_large", `Cannot answer a poll: it must be ${MAX_POLL_BYTES} bytes`).response();
  }
  const answer = await relay.poll(body, raw.signal);
  if (answer instanceof Problem) return answer.response();
  if (!answer) return context.body(null, 204);
  return context.body(answer, 200, { "content-type": "application/octet-stream" });
}
