/**
 * Serves an upstream, on Deno Deploy or anywhere:
 *
 *   deno run --allow-net --allow-env --unstable-kv edge/main_upstream.ts
 *
 * `main_relay.ts` says what to set in the environment. `roles/upstream.ts` is the same with flags, TLS, metrics and limits on
 * slow clients.
 */

import { openRelayMain } from "./main_relay.ts";
import { serveMain } from "./main_serve.ts";
import { createUpstream } from "./upstream.ts";
import { UpstreamRelay } from "./upstream/relay.ts";

const main = await openRelayMain("upstream");
const relay = new UpstreamRelay({ ...main, dialHop: main.hops.dial });
main.register(() => relay.load);

serveMain({ app: createUpstream({ ...main.appDeps, relay }), drain: () => relay.drain() });
