/**
 * `culvert vtcp-client`: proxies and forwarded ports of this machine whose traffic leaves by vtcp servers, one or several.
 */

import { z } from "zod";
import { defineRole, type Role, runRole } from "../role.ts";
import { runTransportClient, transportClientFlags } from "../transport_client.ts";

const config = z.object(transportClientFlags);

export const role: Role<typeof config> = defineRole({
  name: "vtcp-client",
  summary: "A local proxy and forwarded ports whose traffic leaves by vtcp servers.",
  config,
  examples: [
    "sudo culvert vtcp client --server vtcp://CREDENTIAL@192.0.2.7:24000/",
    "sudo culvert vtcp client --server vtcp://C@192.0.2.7:24000-24007/",
    "culvert vtcp client --server vtcp+udp://CREDENTIAL@server.example:24000/",
  ],
  run: (config, context) =>
    runTransportClient(config, {
      name: "vtcp-client",
      schemes: ["vtcp://", "vtcp+udp://"],
      listen: "127.0.0.1:14000",
    }, context),
});

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));
