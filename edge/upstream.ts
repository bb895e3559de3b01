/**
 * The upstream as a Hono app, for any host or Deno Deploy.
 *
 *   GET  /v1/fragments   a WebSocket; each message is a client's (`protocol/fragment/messages.ts`)
 *   POST /v1/fragments   one message as the body; 202 when it was passed on, else problem+json
 *   GET  /healthz
 *   GET  /, /openapi.json   the same described, for whoever may use it
 *
 * Not here: what becomes of a message (`upstream/relay.ts`), listening, TLS, registering with base.
 */

import type { Context, Hono } from "hono";
import { MAX_MESSAGE_BYTES } from "../protocol/fragment/messages.ts";
import { openApiOf } from "./openapi.ts";
import { serveDescription } from "./api_description.ts";
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
import { FRAGMENTS_PATH, upstreamApi } from "./upstream/api.ts";
import { UPSTREAM_BOUNDS, type UpstreamRelay } from "./upstream/relay.ts";

export { FRAGMENTS_PATH } from "./upstream/api.ts";

export interface UpstreamDeps extends RelayAppDeps {
  readonly relay: UpstreamRelay;
}

export function createUpstream(deps: UpstreamDeps): Hono<RelayEnv> {
  const app = relayApp(deps);
  const door = new Doorkeeper(deps.relay, deps);
  const { relay } = deps;
  guardRelay(app, door, [FRAGMENTS_PATH]);
  serveDescription(app, () => openApiOf(upstreamApi(deps.version)));
  app.get(FRAGMENTS_PATH, (context) => {
    if (!asksForWebSocket(context)) return upgradeRequired();
    const { response, channel } = deps.upgrade(context.req.raw, UPSTREAM_BOUNDS);
    relay.join(channel, context.env.remoteAddress);
    return response;
  });
  app.post(FRAGMENTS_PATH, (context) => post(context, relay));
  return app;
}

async function post(context: Context<RelayEnv>, relay: UpstreamRelay): Promise<Response> {
  const body = await readBody(context.req.raw, MAX_MESSAGE_BYTES);
  if (!body) {
    return relay.refuse("too_large", `Cannot pass it on: a body must be at most ${MAX_MESSAGE_BYTES} bytes`).response();
  }
  const problem = await relay.post(body, context.env.remoteAddress);
  return problem ? problem.response() : context.body(null, 202);
}
