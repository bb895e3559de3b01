/**
 * `culvert up`: a small network on this one machine, to see it work, and to see it go on when parts of it fail.
 *
 *   curl ─▶ client ─▶ supernode-north ─▶ supernode-south ─▶ exit-1 or exit-2 ─▶ the network
 *                           └────── base ──────┘
 *
 * Its keys and state are in a temporary directory, which goes when it ends.
 */

import { z } from "zod";
import { aborted } from "../protocol/abort.ts";
import { formatTarget } from "../protocol/stream.ts";
import { filePath, listenAddress } from "./fields.ts";
import { isLoopback } from "./listening.ts";
import { defineRole, type Role, type RoleContext, runRole } from "./role.ts";
import { obey, typedLines } from "./up/commands.ts";
import { Failures, killSchema } from "./up/failures.ts";
import { SmallNetwork } from "./up/network.ts";
import { PART_NAMES, type PartName } from "./up/parts.ts";
import { welcome } from "./up/show.ts";

const config = z.object({
  listen: listenAddress("127.0.0.1:1080").refine(isLoopback, "an address of this machine alone, such as 127.0.0.1:1080")
    .describe("Where programs find the proxy; nobody needs a password, so only on loopback."),
  egressPolicy: filePath().optional().describe("What the exits may dial; a TOML file, followed while it changes."),
  kill: z.array(killSchema).default([])
    .describe("End a part at once when all is ready, or later, and tell how the next stream fares."),
});

export const role: Role<typeof config> = defineRole({
  name: "up",
  summary: "A small network on this machine: directory, supernodes, exits, client, to try.",
  config,
  examples: [
    "culvert up",
    "culvert up --kill exit-1@10s --kill supernode-south@20s",
    "culvert up --listen 127.0.0.1:9050 --egress-policy policy.toml",
  ],
  async run(config, context) {
    const { json, print, signal, hardSignal } = context;
    await using directory = await temporaryDirectory();
    await using network = await SmallNetwork.start({
      listen: formatTarget(config.listen),
      egressPolicy: config.egressPolicy,
      directory: directory.path,
      context,
    });
    for (const name of PART_NAMES) context.check(name, () => network.failureOf(name));
    const isTyped = !json && Deno.stdin.isTerminal();
    if (!json) print(welcome(network, { isTyped }));
    context.ready({ addresses: addressesOf(network) });
    const failures = new Failures({ network, context, tell: teller(context) });
    const watching = [
      ...config.kill.map((kill) => failures.plan(kill)),
      isTyped ? obey(typedLines(signal), { network, failures, signal, print }) : undefined,
    ];
    await Promise.race([aborted(signal), network.fault]);
    await network.stop(hardSignal);
    await Promise.all(watching);
  },
});

function teller({ json, print }: RoleContext): (report: object, lines: readonly string[]) => void {
  return (report, lines) => json ? print(JSON.stringify(report)) : lines.forEach(print);
}

/** `listen` is the proxy; the others by their names. */
function addressesOf(network: SmallNetwork): Record<string, string> {
  const others = PART_NAMES.filter((name): name is Exclude<PartName, "client"> => name !== "client");
  const known = others.map((name) => [name, network.addressOf(name)] as const);
  return {
    listen: network.proxy,
    ...Object.fromEntries(known.flatMap(([name, at]) => at === undefined ? [] : [[name, at]])),
  };
}

async function temporaryDirectory(): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await Deno.makeTempDir({ prefix: "culvert-up-" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));
