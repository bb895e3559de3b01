/**
 * The dashboard of `culvert up` on a port of its own, for whoever has the address that is printed: it ends with a token, which
 * is another each time.
 */

import { TokenGuard } from "../../edge/dashboard/token_guard.ts";
import type { Target } from "../../protocol/stream.ts";
import { newToken } from "../admin_api/token.ts";
import { ServedDashboard } from "../dashboard/served_dashboard.ts";
import { serveHttp } from "../http_server.ts";
import type { RoleContext } from "../role.ts";
import { AskedParts } from "./asked_parts.ts";
import { UpDeeds } from "./dashboard_deeds.ts";
import { UpSource } from "./dashboard_source.ts";
import type { Failures } from "./failures.ts";
import type { Notices } from "./notices.ts";
import { UntoldBlocks } from "./untold_blocks.ts";
import type { ShownNetwork } from "./watched_network.ts";

/** Each browser may have six. */
const MAX_CONNECTIONS = 256;

export interface UpDashboardOptions {
  readonly listen: Target;
  readonly network: ShownNetwork;
  readonly failures: Pick<Failures, "kill">;
  readonly notices: Notices;
}

export interface UpDashboard extends AsyncDisposable {
  /** Where it is. */
  readonly address: string;
  /** Lets in whoever opens it. */
  readonly url: string;
  /** Reads what it is made of, so that it is there at once when somebody looks. Never rejects. */
  load(): Promise<void>;
}

export async function openUpDashboard(
  { listen, network, failures, notices }: UpDashboardOptions,
  context: RoleContext,
): Promise<UpDashboard> {
  const { clock, random, log, metrics } = context;
  const token = newToken(random);
  const asked = new AskedParts({ network, clock });
  await using opened = new AsyncDisposableStack();
  const untold = opened.use(new UntoldBlocks({ clock, log, isRunning: (name) => network.isRunning(name) }));
  const deeds = new UpDeeds({ network, asked, failures, untold, log });
  const source = new UpSource({ network, asked, deeds, notices, clock });
  const dashboard = new ServedDashboard({
    source,
    guard: new TokenGuard({ token, clock, log }),
    clock,
    random,
    log,
    metrics,
  });
  const { address } = opened.use(
    await serveHttp({
      listen,
      what: "the dashboard",
      flag: "--dashboard-listen",
      fetch: (request, origin) => dashboard.fetch(request, origin),
      maxConnections: MAX_CONNECTIONS,
    }),
  );
  // Whoever watches is told goodbye before the connections are cut.
  opened.use(dashboard);
  const kept = opened.move();
  return {
    address: `http://${address}/`,
    url: `http://${address}/#token=${token}`,
    load: () => dashboard.load(),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}
