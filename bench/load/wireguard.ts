/**
 * Our userspace WireGuard device with its UAPI socket, and nothing else: no addresses, no routes, no configuration. For
 * benchmarks and tests that compare it with other programs of that kind.
 *
 *   wireguard.ts --interface NAME [--portable] [--no-offload]
 *
 * Ends with SIGTERM, with its standard input, or when somebody removes its interface or its socket.
 */

import { parseArgs } from "@std/cli/parse-args";
import { serveUapi } from "../../native/wireguard/uapi_server.ts";
import { openUserspaceDevice } from "../../native/wireguard/userspace.ts";

async function main(args: readonly string[]): Promise<void> {
  const flags = parseArgs(args, { string: ["interface"], boolean: ["portable", "offload"], negatable: ["offload"] });
  const name = flags.interface;
  if (typeof name !== "string" || name === "") throw new Error("Cannot make a device: --interface must be a name");
  const stop = Promise.withResolvers<void>();
  Deno.addSignalListener("SIGTERM", () => stop.resolve());
  stdinEnd().then(() => stop.resolve());
  const offload = flags.offload !== false;
  await using device = await openUserspaceDevice({ name, portableCrypto: flags.portable === true, offload });
  await using server = await serveUapi(device);
  console.log(JSON.stringify({ ready: true, interface: device.interfaceName, socket: server.path }));
  const error = await Promise.race([stop.promise, device.ended, server.removed]);
  if (error) throw error;
}

async function stdinEnd(): Promise<void> {
  const buffer = new Uint8Array(64);
  while (await Deno.stdin.read(buffer) !== null);
}

if (import.meta.main) {
  await main(Deno.args);
  Deno.exit(0);
}
