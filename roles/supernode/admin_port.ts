/**
 * The port at which administrators come in, and the word of it for `culvert admin` on the same machine.
 */

import { encodeBase64Url } from "../../protocol/encoding.ts";
import { offerAdminAccess } from "../admin_access.ts";
import { serveHttp } from "../http_server.ts";
import { type AdminApiDeps, createAdminApi } from "./admin_api.ts";
import type { SupernodeSettings } from "./settings.ts";

const TOKEN_BYTES = 32;
const MAX_CONNECTIONS = 64;

export interface AdminPort extends AsyncDisposable {
  readonly address: string;
}

/** Opens it, unless the settings say that there is to be none. */
export async function openAdminPort(
  { adminApi, adminListen, adminToken }: SupernodeSettings,
  deps: Omit<AdminApiDeps, "token">,
  { stateDir }: { readonly stateDir: string },
): Promise<AdminPort | undefined> {
  if (!adminApi) return undefined;
  const { random, clock } = deps;
  const token = adminToken ?? encodeBase64Url(random.fill(new Uint8Array(TOKEN_BYTES)));
  const api = createAdminApi({ ...deps, token });
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
