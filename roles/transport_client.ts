/**
 * The near end of a transport, alike for `culvert kcp client` and `culvert vtcp client`: proxies and forwarded ports whose
 * traffic leaves by one server, or by several as one.
 *
 *   program ─▶ --listen, --forward ─▶ one --server, or several (--combine) ─▶ targets
 */

import { z } from "zod";
import { countedDials } from "../net/kcp/counted_dials.ts";
import { pathPrefixes } from "../net/open.ts";
import { aborted } from "../protocol/abort.ts";
import { parseTarget, type Path } from "../protocol/stream.ts";
import { combinationFlags, type CombinationSettings } from "./combination.ts";
import { ConfigError } from "./config.ts";
import { filePath } from "./fields.ts";
import { localPortFlags, type LocalPortSettings, openLocalPorts } from "./local_ports.ts";
import { ownRights, requireRawPackets } from "./machine/privileges.ts";
import type { RoleContext } from "./role.ts";
import { reportedAt, serveSplitReport } from "./split/report_socket.ts";
import { openWayOut, type WayOut } from "./way_out.ts";

/** The flags of such a client. `schemes` are those its servers may have. */
export const transportClientFlags = {
  server: z.array(z.string().meta({ placeholder: "url", secret: true })).default([])
    .describe("The URL of a server, as it prints it; several act as one, by --combine."),
  ...combinationFlags,
  egressPolicy: filePath().optional().describe("What direct: may dial; a TOML file, followed while it changes."),
  ...localPortFlags,
};

export type TransportClientSettings =
  & CombinationSettings
  & Pick<WayOut, "egressPolicy">
  & Omit<LocalPortSettings, "listen">
  & { readonly server: readonly string[]; readonly listen?: LocalPortSettings["listen"] | undefined };

export interface TransportClientOptions {
  /** What it is called: "kcp client". */
  readonly name: string;
  /** What its servers' URLs may begin with. */
  readonly schemes: readonly string[];
  /** Where programs find the proxy when nothing else is said. */
  readonly listen: string;
}

/** URLs of servers whose packets look like those of TCP. */
const RAW_URL = /^(kcp\+raw|vtcp):/;

export async function runTransportClient(
  settings: TransportClientSettings,
  { name, schemes, listen }: TransportClientOptions,
  context: RoleContext,
): Promise<void> {
  const action = `start ${name}`;
  requireServers(settings.server, schemes, action);
  // Where one of several servers can be reached without, the others are only warned of.
  if (settings.server.every((url) => RAW_URL.test(url))) requireRawPackets(await ownRights(), action);
  const wayOut = {
    ...settings,
    flag: "--server",
    path: [...settings.server],
    caFile: undefined,
    networkPublicKey: undefined,
  };
  await using onward = await openWayOut(wayOut, action, context);
  const fallback = settings.forward.length > 0 ? [] : [parseTarget(listen)!];
  const listens = settings.listen ?? fallback;
  await using ports = openLocalPorts(
    { ...settings, listen: listens },
    measured(onward.path, context),
    action,
    context,
  );
  const reported = reportedAt(listens[0], ports.addresses.listen);
  await using _reporting = await serveSplitReport(onward.path, reported, context);
  context.check("server", () => onward.path.problem);
  context.ready({ addresses: ports.addresses });
  await aborted(context.signal);
  await ports.shutdown(context.hardSignal);
}

/** How many connections succeed, and how soon. */
function measured(path: Path, { clock, metrics }: RoleContext): Path {
  const dials = metrics.counter("transport_client_dials_total", "Dials through the servers, by outcome", ["outcome"]);
  const took = metrics.histogram(
    "transport_client_dial_seconds",
    "How long dials took that succeeded",
    [0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10],
  );
  return countedDials(path, clock, (outcome, seconds) => {
    dials.add(1, { outcome });
    if (outcome === "ok") took.observe(seconds);
  });
}

/** URLs of servers hold keys, so no message repeats them. */
function requireServers(servers: readonly string[], schemes: readonly string[], action: string): void {
  const known = schemes.filter((scheme) => pathPrefixes.includes(scheme));
  if (servers.length > 0 && servers.every((url) => known.some((scheme) => url.startsWith(scheme)))) return;
  throw new ConfigError(action, [
    `--server must be given, at least once, as a URL that begins with ${known.join(" or ")}`,
  ]);
}
