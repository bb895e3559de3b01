/**
 * Serves an upstream with `deno serve edge/main_upstream.ts`, or on Deno Deploy; `main_relay.ts` says what to set in the
 * environment. `roles/upstream.ts` is the same with flags, TLS, metrics and limits on slow clients.
 */

import { openRelayMain, serveApp } from "./main_relay.ts";
import { createUpstream } from "./upstream.ts";
import { UpstreamRelay } from "./upstream/relay.ts";

const main = await openRelayMain("upstream");
const relay = new UpstreamRelay({ ...main, dialHop: main.hops.dial });
main.register(() => relay.load);

export default serveApp(createUpstream({ ...main.appDeps, relay })) satisfies Deno.ServeDefaultExport;
