/**
 * Serves base, on Deno Deploy or anywhere:
 *
 *   deno run --allow-net --allow-env --unstable-kv edge/main_directory.ts
 *
 * What an operator sets in the environment, beside what `main_serve.ts` lists:
 *
 *   CULVERT_NETWORK_PUBLIC_KEY  the public key of a closed network, in base64; open without
 *   CULVERT_AUTHORITY           the hosts this base goes by, with commas between; without, a request signed for another
 *                               base of the same network could be passed on to this one
 *
 * `roles/base.ts` is the same with flags, TLS and metrics.
 */

import deno from "../deno.json" with { type: "json" };
import { clockOf } from "../protocol/clock.ts";
import { decodeBase64 } from "../protocol/encoding.ts";
import { CulvertError } from "../protocol/errors.ts";
import { KEY_BYTES, portablePrimitives } from "../protocol/primitives.ts";
import { randomOf } from "../protocol/random.ts";
import { consoleLog } from "./console_log.ts";
import { createDirectoryOnKv } from "./directory/on_kv.ts";
import { env, openMainKv, serveMain } from "./main_serve.ts";

function networkPublicKey(): Uint8Array | undefined {
  const text = env("CULVERT_NETWORK_PUBLIC_KEY");
  const key = text === undefined ? undefined : decodeBase64(text);
  if (text === undefined || key?.length === KEY_BYTES) return key;
  throw new CulvertError("invalid_option", "Cannot serve base: CULVERT_NETWORK_PUBLIC_KEY must be 32 bytes in base64");
}

const app = createDirectoryOnKv(await openMainKv(), {
  clock: clockOf(globalThis),
  random: randomOf(crypto),
  primitives: portablePrimitives,
  log: consoleLog(console),
  version: deno.version,
  networkPublicKey: networkPublicKey(),
  authorities: env("CULVERT_AUTHORITY")?.split(",").map((name) => name.trim()),
});
serveMain({ app });
