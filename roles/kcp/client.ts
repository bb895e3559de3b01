/**
 * `culvert kcp-client`: proxies and forwarded ports of this machine whose traffic leaves by KCP servers, one or several.
 */

import { z } from "zod";
import { defineRole, type Role, runRole } from "../role.ts";
import { runTransportClient, transportClientFlags } from "../transport_client.ts";

const config = z.object(transportClientFlags);

export const role: Role<typeof config> = defineRole({
  name: "kcp-client",
  summary: "A local proxy and forwarded ports whose traffic leaves by KCP servers.",
  config,
  examples: [
    "culvert kcp client --server kcp+udp://CREDENTIAL@server.example:4000/",
    "sudo culvert kcp client --server kcp+raw://CREDENTIAL@192.0.2.7:24000-24007/",
    "culvert kcp client --server kcp+udp://C@a:4000/ --server kcp+udp://C@b:4000/",
    "culvert kcp client --server URL --forward udp:127.0.0.1:53=9.9.9.9:53",
  ],
  run: (config, context) =>
    runTransportClient(config, {
      name: "kcp-client",
      schemes: ["kcp+udp://", "kcp+raw://"],
      listen: "127.0.0.1:1080",
    }, context),
});

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));
