/**
 * `culvert vtcp-server`: the far end of QUIC in packets that look like TCP of no connection. What clients dial is dialled here.
 *
 *   clients ─ packets that look like TCP, or UDP ─▶ --ports ─▶ --path (direct: by default) ─▶ targets
 *
 * Clients are invited (`culvert kcp invite NAME --by vtcp`) and revoked while it runs.
 */

import { aborted } from "../../protocol/abort.ts";
import { formatPorts } from "../../protocol/port_span.ts";
import { defineRole, type Role, runRole } from "../role.ts";
import { openWayOut } from "../way_out.ts";
import { servers } from "./server_dialects.ts";
import { serverConfig } from "./server_settings.ts";

export const role: Role<typeof serverConfig> = defineRole({
  name: "vtcp-server",
  summary: "The far end of QUIC in packets of no TCP connection: dials what clients dial.",
  config: serverConfig,
  examples: [
    "sudo culvert vtcp server",
    "sudo culvert vtcp server --ports 24000-24007 --egress-policy policy.toml",
    "culvert vtcp server --carrier udp",
    "sudo CULVERT_KEY=K culvert vtcp server --dialect gfk-go --ports 45000-45007",
  ],
  async run(config, context) {
    await using onward = await openWayOut(config, "start vtcp-server", context);
    await using served = await servers[config.dialect](config, { onward: onward.path, context });
    const host = config.address.includes(":") ? `[${config.address}]` : config.address;
    const ports = formatPorts({ first: served.ports[0]!, count: served.ports.length });
    const { note } = served;
    context.ready({ addresses: { listen: `${host}:${ports} (${config.carrier})` }, ...note !== undefined && { note } });
    await Promise.race([aborted(context.signal), served.failed]);
    await served.drain(context.hardSignal);
  },
});

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));
