/**
 * `culvert proxy`: a local port that speaks SOCKS5, SOCKS4a and HTTP, whose traffic leaves by the paths it is given.
 *
 *   program ─▶ --listen ─▶ one path, or several as one (--combine) ─▶ …
 */

import { z } from "zod";
import { aborted } from "../protocol/abort.ts";
import { listenAddress } from "./fields.ts";
import { ingressFlags, openLocalPorts } from "./local_ports.ts";
import { defineRole, type Role, runRole } from "./role.ts";
import { openWayOut, wayOut } from "./way_out.ts";

const config = z.object({
  listen: listenAddress("127.0.0.1:1080").describe("Where programs find the proxy."),
  ...wayOut,
  ...ingressFlags,
});

export const role: Role<typeof config> = defineRole({
  name: "proxy",
  summary: "A local SOCKS5, SOCKS4a and HTTP proxy whose traffic leaves by a path.",
  config,
  examples: [
    "culvert proxy",
    "culvert proxy --path tunnel+wss://TOKEN@exit.example.org/",
    "culvert proxy --path tunnel+wss://T@a.example/ --path direct: --combine race",
  ],
  async run(config, context) {
    await using onward = await openWayOut(config, "start proxy", context);
    const settings = { ...config, listen: [config.listen], forward: [] };
    await using ports = openLocalPorts(settings, onward.path, "start proxy", context);
    context.ready({ addresses: ports.addresses });
    await aborted(context.signal);
    await ports.shutdown(context.hardSignal);
  },
});

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));
