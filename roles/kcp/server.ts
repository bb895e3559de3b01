/**
 * `culvert kcp-server`: the far end of KCP, in our own dialect or those of kcptun, paqet and GFK. What clients dial is dialled
 * here.
 *
 *   clients ─ UDP, or packets that look like TCP ─▶ --ports ─▶ --path (direct: by default) ─▶ targets
 *
 * Clients of our own dialect are invited (`culvert kcp invite NAME`) and revoked while it runs.
 */

import { aborted } from "../../protocol/abort.ts";
import { formatPorts } from "../../protocol/port_span.ts";
import { defineRole, type Role, runRole } from "../role.ts";
import { openWayOut } from "../way_out.ts";
import { openServerCarriers } from "./server_carriers.ts";
import { type ServedDialect, servers } from "./server_dialects.ts";
import { serverConfig, type ServerSettings } from "./server_settings.ts";

export const role: Role<typeof serverConfig> = defineRole({
  name: "kcp-server",
  summary: "The far end of KCP over UDP or raw packets: what clients dial is dialled here.",
  config: serverConfig,
  examples: [
    "culvert kcp server",
    "sudo culvert kcp server --carrier both --ports 24000-24007",
    "CULVERT_KEY=K culvert kcp server --dialect kcptun --target 127.0.0.1:8080",
    "sudo CULVERT_KEY=K culvert kcp server --dialect paqet --carrier raw",
  ],
  async run(config, context) {
    const { signal, hardSignal } = context;
    await using onward = await openWayOut(config, "start kcp-server", context);
    await using carriers = await openServerCarriers(config, context);
    await using served: ServedDialect = await servers[config.dialect](config, {
      carriers: carriers.carriers,
      onward: onward.path,
      context,
    });
    context.ready({ addresses: addressesOf(config, carriers.ports), ...served.note && { note: served.note } });
    await aborted(signal);
    await served.shutdown(hardSignal);
  },
});

function addressesOf(config: ServerSettings, ports: { first: number; count: number }): Record<string, string> {
  const host = config.address.includes(":") ? `[${config.address}]` : config.address;
  const where = `${host}:${formatPorts(ports)}`;
  const kinds = config.carrier === "both" ? ["udp", "raw"] : [config.carrier];
  return {
    listen: `${where} (${kinds.join(" and ")})`,
    ...config.relayedPort !== undefined && { relayed: `${host}:${config.relayedPort}` },
  };
}

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));
