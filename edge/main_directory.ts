/**
 * Serves base with `deno serve edge/main_directory.ts`, or on Deno Deploy, where an operator sets what it needs to know
 * in the environment:
 *
 *   CULVERT_KV                  a path, an https URL or ":memory:"; on Deploy, left out, the app's own
 *   CULVERT_NETWORK_PUBLIC_KEY  the public key of a closed network, in base64; open without
 *   CULVERT_AUTHORITY           the hosts this base goes by, with commas between; without, a request signed for another
 *                               base of the same network could be passed on to this one
 *   CULVERT_BEHIND_PROXY        1 if all requests come through a reverse proxy of yours
 *
 * `roles/base.ts` is the same with flags, TLS and metrics.
 */

import deno from "../deno.json" with { type: "json" };
import { openKv } from "../kv/open.ts";
import { clockOf } from "../protocol/clock.ts";
import { decodeBase64 } from "../protocol/encoding.ts";
import { CulvertError } from "../protocol/errors.ts";
import { KEY_BYTES, portablePrimitives } from "../protocol/primitives.ts";
import { randomOf } from "../protocol/random.ts";
import { consoleLog } from "./console_log.ts";
import { createDirectoryOnKv } from "./directory/on_kv.ts";
import { remoteAddressOf } from "./remote_address.ts";

const env = (name: string) => Deno.env.get(name) || undefined;

function networkPublicKey(): Uint8Array | undefined {
  const text = env("CULVERT_NETWORK_PUBLIC_KEY");
  const key = text === undefined ? undefined : decodeBase64(text);
  if (text === undefined || key?.length === KEY_BYTES) return key;
  throw new CulvertError("invalid_option", "Cannot serve base: CULVERT_NETWORK_PUBLIC_KEY must be 32 bytes in base64");
}

const location = env("CULVERT_KV");
const isOnDeploy = env("DENO_DEPLOY") !== undefined || env("DENO_DEPLOYMENT_ID") !== undefined;
const kv = location === undefined && isOnDeploy ? await Deno.openKv() : await openKv(location ?? ":memory:");
const app = createDirectoryOnKv(kv, {
  clock: clockOf(globalThis),
  random: randomOf(crypto),
  primitives: portablePrimitives,
  log: consoleLog(console),
  version: deno.version,
  networkPublicKey: networkPublicKey(),
  authorities: env("CULVERT_AUTHORITY")?.split(",").map((name) => name.trim()),
});
const behindProxy = env("CULVERT_BEHIND_PROXY") === "1";

export default {
  fetch(request, { remoteAddr }) {
    const connected = "hostname" in remoteAddr ? remoteAddr.hostname : undefined;
    return app.fetch(request, { remoteAddress: remoteAddressOf(request.headers, connected, { behindProxy }) });
  },
} satisfies Deno.ServeDefaultExport;
