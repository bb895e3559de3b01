/**
 * The port at which administrators come in, and the word of it for `culvert admin` on the same machine.
 */

import type { NetworkSource } from "../../edge/dashboard/inventory.ts";
import { encodeBase64Url } from "../../protocol/encoding.ts";
import { offerAdminAccess } from "../admin_access.ts";
import { serveHttp } from "../http_server.ts";
import type { RoleContext } from "../role.ts";
import type { AdminSettings } from "./settings.ts";

const TOKEN_BYTES = 32;
const MAX_CONNECTIONS = 64;

/** What is served there, once the token is known. */
export interface AdminParts {
  /** For `/v1`. */
  api(token: string): { fetch(request: Request): Response | Promise<Response> };
  /** For the dashboard, at all other paths. */
  readonly source: NetworkSource;
}

export interface AdminPort extends AsyncDisposable {
  readonly address: string;
}

/** Opens it, unless the settings say that there is to be none. */
export async function openAdminPort(
  { adminApi, adminListen, adminToken }: AdminSettings,
  parts: AdminParts,
  { stateDir, random, clock }: Pick<RoleContext, "stateDir" | "random" | "clock">,
): Promise<AdminPort | undefined> {
  if (!adminApi) return undefined;
  const token = adminToken ?? encodeBase64Url(random.fill(new Uint8Array(TOKEN_BYTES)));
  const api = parts.api(token);
  await using opened = new AsyncDisposableStack();
  const { address } = opened.use(
    await serveHttp({
      listen: adminListen,
      what: "the administrators' API",
      flag: "--admin-listen",
      fetch: (request) => api.fetch(request),
      maxConnections: MAX_CONNECTIONS,
    }),
  );
  const access = { url: `http://${address}`, ...(adminToken === undefined && { token }) };
  opened.use(await offerAdminAccess(stateDir, access, { clock }));
  const kept = opened.move();
  return { address, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}
