/**
 * Serves a downstream, on Deno Deploy or anywhere, as several processes on one store if need be:
 *
 *   deno run --allow-net --allow-env --unstable-kv edge/main_downstream.ts
 *
 * `main_relay.ts` says what to set in the environment. `roles/downstream.ts` is the same with flags, TLS, metrics and limits
 * on slow clients.
 */

import { createKvMailboxes } from "../kv/mailbox.ts";
import { createDownstream } from "./downstream.ts";
import { DownstreamRelay } from "./downstream/relay.ts";
import { openRelayMain } from "./main_relay.ts";
import { openMainKv, serveMain } from "./main_serve.ts";

const main = await openRelayMain("downstream");
const mailboxes = createKvMailboxes(await openMainKv(), main.clock, { space: main.identity.peerId });
const relay = new DownstreamRelay({ ...main, acceptHop: main.hops.accept, mailboxes });
main.register(() => relay.load);

serveMain({ app: createDownstream({ ...main.appDeps, relay }), drain: () => relay.drain() });
