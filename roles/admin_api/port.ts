/**
 * The port at which administrators come in, and the word of it for `culvert admin` on the same machine.
 *
 *   for one of our names? ─┬─ /v1/…              ─▶ the API, with the token
 *                          └─ everything else    ─▶ the dashboard
 *
 * Wrong tokens are limited for both together. Under names that a reverse proxy serves, requests are from whom the proxy says.
 */

import type { DashboardOrigin } from "../../edge/dashboard/deps.ts";
import { refusalOfHost } from "../../edge/dashboard/door.ts";
import type { NetworkSource } from "../../edge/dashboard/inventory.ts";
import { TokenGuard } from "../../edge/dashboard/token_guard.ts";
import { remoteAddressOf } from "../../edge/remote_address.ts";
import { messageOf } from "../../protocol/errors.ts";
import { type AdminRole, offerAdminAccess } from "../admin_access.ts";
import { ServedDashboard } from "../dashboard/served_dashboard.ts";
import { serveHttp } from "../http_server.ts";
import type { RoleContext } from "../role.ts";
import type { AdminSettings } from "./settings.ts";
import { newToken } from "./token.ts";

/** Each browser may have six. */
const MAX_CONNECTIONS = 256;

/** What is served there, once the token is known. */
export interface AdminParts {
  readonly role: AdminRole;
  /** For `/v1`. */
  api(guard: TokenGuard): { fetch(request: Request, origin: DashboardOrigin): Response | Promise<Response> };
  /** For the dashboard. */
  readonly source: NetworkSource;
}

export interface AdminPort extends AsyncDisposable {
  /** For the ready line. */
  readonly addresses: { readonly admin: string; readonly dashboard: string };
}

/** Opens it, unless the settings say that there is to be none. */
export async function openAdminPort(
  { adminApi, adminListen, adminHost, adminToken }: AdminSettings,
  parts: AdminParts,
  context: Pick<RoleContext, "stateDir" | "random" | "clock" | "log" | "metrics">,
): Promise<AdminPort | undefined> {
  if (!adminApi) return undefined;
  const { random, clock, log, stateDir } = context;
  const token = adminToken ?? newToken(random);
  const guard = new TokenGuard({ token, clock, log });
  const api = parts.api(guard);
  await using opened = new AsyncDisposableStack();
  const dashboard = new ServedDashboard({ ...context, source: parts.source, guard, hosts: adminHost });
  const { address } = opened.use(
    await serveHttp({
      listen: adminListen,
      what: "the administrators' API",
      flag: "--admin-listen",
      fetch(request, { remoteAddress: connected }) {
        const refusal = refusalOfHost(request, adminHost);
        if (refusal) return refusal.response();
        const remoteAddress = remoteAddressOf(request.headers, connected, { behindProxy: adminHost.length > 0 });
        return (isForApi(request) ? api : dashboard).fetch(request, { remoteAddress });
      },
      maxConnections: MAX_CONNECTIONS,
    }),
  );
  // Whoever watches is told goodbye before the connections are cut.
  opened.use(dashboard);
  const url = `http://${address}`;
  const access = { url, ...(adminToken === undefined && { token }) };
  opened.use(
    await offerAdminAccess(access, { role: parts.role, stateDir, clock }).catch((error) => {
      // Such as base in a container, which keeps nothing on this machine.
      log.warn("culvert admin on this machine is not told of the administrators' API", { error: messageOf(error) });
      return undefined;
    }),
  );
  const kept = opened.move();
  return {
    addresses: { admin: address, dashboard: `${url}/` },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

function isForApi({ url }: Request): boolean {
  const { pathname } = new URL(url);
  return pathname === "/v1" || pathname.startsWith("/v1/");
}
