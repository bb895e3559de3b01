/**
 * Serves a downstream with `deno serve edge/main_downstream.ts`, or on Deno Deploy, as several processes on one store if
 * need be; `main_relay.ts` says what to set in the environment. `roles/downstream.ts` is the same with flags, TLS, metrics
 * and limits on slow clients.
 */

import { createKvMailboxes } from "../kv/mailbox.ts";
import { createDownstream } from "./downstream.ts";
import { DownstreamRelay } from "./downstream/relay.ts";
import { openMainKv, openRelayMain, serveApp } from "./main_relay.ts";

const main = await openRelayMain("downstream");
const mailboxes = createKvMailboxes(await openMainKv(), main.clock, { space: main.identity.peerId });
const relay = new DownstreamRelay({ ...main, acceptHop: main.hops.accept, mailboxes });
main.register(() => relay.load);

export default serveApp(createDownstream({ ...main.appDeps, relay })) satisfies Deno.ServeDefaultExport;
