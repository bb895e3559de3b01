/**
 * `culvert up`: a small culvert on this one machine, to see it work.
 *
 *   curl ─▶ proxy (a Worker) ─▶ WebSocket on loopback ─▶ tunnel and egress (a Worker) ─▶ the network
 *
 * Each role runs in a Worker of its own, as it would in a process of its own elsewhere, and they speak over a real
 * socket with a token made for this run. All of it ends with this process.
 */

import { z } from "zod";
import { encodeBase64Url } from "@std/encoding/base64url";
import { formatTarget } from "../protocol/stream.ts";
import { filePath, listenAddress } from "./fields.ts";
import { isLoopback } from "./listening.ts";
import { defineRole, type Role, runRole } from "./role.ts";
import { WorkerRole } from "./up/worker_role.ts";

const config = z.object({
  listen: listenAddress("127.0.0.1:1080").refine(isLoopback, "an address of this machine alone, such as 127.0.0.1:1080")
    .describe("Where programs find the proxy; nobody needs a password, so only on loopback."),
  egressPolicy: filePath().optional().describe("What the egress may dial; a TOML file, followed while it changes."),
});

export const role: Role<typeof config> = defineRole({
  name: "up",
  summary: "A small culvert on this machine: proxy, tunnel and egress, ready to try.",
  config,
  examples: ["culvert up", "culvert up --listen 127.0.0.1:9050 --egress-policy policy.toml"],
  async run(config, context) {
    const { log, signal, hardSignal, random } = context;
    const token = encodeBase64Url(random.fill(new Uint8Array(18)));
    await using tunnel = await WorkerRole.start("tunnel", {
      listen: "127.0.0.1:0",
      token,
      ...(config.egressPolicy !== undefined && { egressPolicy: config.egressPolicy }),
    }, log);
    const tunnelAt = tunnel.addresses.listen!;
    await using proxy = await WorkerRole.start("proxy", {
      listen: formatTarget(config.listen),
      path: [`tunnel+ws://${token}@${tunnelAt}/`],
    }, log);
    const proxyAt = proxy.addresses.listen!;
    context.check("tunnel", () => tunnel.failure);
    context.check("proxy", () => proxy.failure);
    if (!context.json) context.print(welcome(proxyAt, tunnelAt));
    context.ready({ addresses: { listen: proxyAt, tunnel: tunnelAt } });
    const stopped = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    await Promise.race([stopped, proxy.ended, tunnel.ended]);
    // One that has ended by itself takes the other with it, and leaves nothing to drain.
    const cut = signal.aborted ? hardSignal : undefined;
    await proxy.stop(cut);
    await tunnel.stop(cut);
  },
});

function welcome(proxyAt: string, tunnelAt: string): string {
  return `
  proxy    ${proxyAt.padEnd(21)}  SOCKS5, SOCKS4a and HTTP on one port
  tunnel   ${tunnelAt.padEnd(21)}  WebSocket, in a worker of its own
  egress   in the same worker     where traffic leaves, under the egress policy

Try it; the page comes from the far end and needs no network:

  curl -x socks5h://${proxyAt} http://hello.culvert/

Ctrl-C stops everything.
`;
}

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));
