/**
 * `culvert orchestrator`: lets clients out through the machines of those who share their connection, and settles what that
 * costs. Two ports:
 *
 *   nodes, pages, API, webhooks ─▶ --listen          clients' programs ─▶ --proxy-listen ─▶ a node ─▶ …
 *
 * The first account is opened with an invitation that is printed as long as there is none.
 */

import { z } from "zod";
import deno from "../deno.json" with { type: "json" };
import { aborted } from "../protocol/abort.ts";
import { formatTarget } from "../protocol/stream.ts";
import { isLoopback } from "./listening.ts";
import { defineRole, type Role, type RoleContext, runRole } from "./role.ts";
import { openOrchestrator, type Orchestrator } from "./orchestrator/open.ts";
import { openPorts } from "./orchestrator/ports.ts";
import { orchestratorFlags } from "./orchestrator/settings.ts";
import { paymentFlags } from "./orchestrator/payments.ts";
import { storeFlags } from "./orchestrator/stores.ts";
import { readFittingTls } from "./tls_files.ts";

const config = z.object({ ...orchestratorFlags, ...storeFlags, ...paymentFlags });

export const role: Role<typeof config> = defineRole({
  name: "orchestrator",
  summary: "Lets clients out through machines of others, and settles what that costs.",
  config,
  examples: [
    "culvert orchestrator",
    "culvert orchestrator --price 0.80 --fee-percent 15",
    "culvert orchestrator --listen :443 --cert-file chain.pem --key-file key.pem",
  ],
  async run(config, context) {
    const { signal, hardSignal, log } = context;
    const tls = await readFittingTls(config, "start the orchestrator");
    for (const [flag, listen] of [["--listen", config.listen], ["--proxy-listen", config.proxyListen]] as const) {
      if (isLoopback(listen) || (tls && flag === "--listen")) continue;
      log.warn(`What comes to ${flag} is not encrypted`, { listen: formatTarget(listen) });
    }
    await using orchestrator = await openOrchestrator(config, { tls, version: deno.version }, context);
    await using ports = openPorts(config, { tls, orchestrator }, context);
    await sayHowToBegin(orchestrator, context);
    context.ready({
      addresses: ports.addresses,
      words: { proxy: "clients' proxy on" },
      note: `peer ${orchestrator.identity.peerId}`,
    });
    const taken = await Promise.race([aborted(signal), orchestrator.lost]);
    if (taken) throw taken;
    await ports.shutdown(hardSignal);
  },
});

/** Whoever takes the first invitation is the admin. */
async function sayHowToBegin(
  { firstInvitation, places }: Orchestrator,
  { json, print }: RoleContext,
): Promise<void> {
  const code = await firstInvitation();
  if (code === undefined) return;
  if (json) return print(JSON.stringify({ invitation: code }));
  print(
    `There is no account yet. The first one is the admin's: open ${places.publicUrl.href} and give the code ${code}`,
  );
}

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));
