/**
 * `culvert proxy`: a local port that speaks SOCKS5, SOCKS4a and HTTP, whose traffic leaves by the paths it is given.
 *
 *   program ─▶ --listen ─▶ one path, or several as one (--combine) ─▶ …
 *
 * With `--combine split` it tells `culvert proxy report` how the paths compare, and once more as its last word.
 */

import { z } from "zod";
import { splitReportOf } from "../net/combine.ts";
import { aborted } from "../protocol/abort.ts";
import type { Path } from "../protocol/stream.ts";
import { listenAddress } from "./fields.ts";
import { ingressFlags, openLocalPorts } from "./local_ports.ts";
import { defineRole, type Role, type RoleContext, runRole } from "./role.ts";
import { splitReportLines } from "./split/report_lines.ts";
import { reportedAt, serveSplitReport } from "./split/report_socket.ts";
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
    "culvert proxy --path socks5://127.0.0.1:1081 --path direct: --combine split",
  ],
  async run(config, context) {
    await using onward = await openWayOut(config, "start proxy", context);
    const settings = { ...config, listen: [config.listen], forward: [] };
    await using ports = openLocalPorts(settings, onward.path, "start proxy", context);
    const listen = reportedAt(config.listen, ports.addresses.listen);
    await using _reporting = await serveSplitReport(onward.path, listen, context);
    context.ready({ addresses: ports.addresses });
    await aborted(context.signal);
    await ports.shutdown(context.hardSignal);
    printReport(onward.path, context);
  },
});

function printReport(path: Path, { json, print }: RoleContext): void {
  const report = splitReportOf(path);
  if (!report) return;
  for (const line of json ? [JSON.stringify(report)] : splitReportLines(report)) print(line);
}

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));
