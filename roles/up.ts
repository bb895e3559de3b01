/**
 * `culvert up`: a network on this one machine, to see it work, and to see it go on when parts of it fail. A small one:
 *
 *   curl ─▶ client ─▶ supernode-north ─▶ supernode-south ─▶ exit-1 or exit-2 ─▶ the network
 *                           └────── base ──────┘
 *
 * or, with `--plan`, all the machines of a deployment. Keys and state are in a temporary directory, which goes when it ends.
 */

import { z } from "zod";
import { aborted } from "../protocol/abort.ts";
import { formatTarget } from "../protocol/stream.ts";
import { ConfigError } from "./config.ts";
import { filePath, listenAddress } from "./fields.ts";
import { isLoopback } from "./listening.ts";
import { defineRole, type Role, type RoleContext, runRole } from "./role.ts";
import { typedLines } from "./typed_lines.ts";
import { obey } from "./up/commands.ts";
import { Deployment } from "./up/deployment.ts";
import { Failures, type FailuresOptions, killSchema, problemsOf } from "./up/failures.ts";
import { SmallNetwork } from "./up/network.ts";
import { noticeOf, Notices } from "./up/notices.ts";
import { FILES_NAMES, PART_NAMES, type PartName, SHARING_NAMES } from "./up/parts.ts";
import { readPlan } from "./up/plan.ts";
import { deploymentWelcome, welcome } from "./up/show.ts";
import type { RunningNetwork } from "./up/watched_network.ts";

const config = z.object({
  listen: listenAddress("127.0.0.1:1080").refine(isLoopback, "an address of this machine alone, such as 127.0.0.1:1080")
    .describe("Where programs find the proxy; nobody needs a password, so only on loopback."),
  plan: filePath().optional()
    .describe("Machines and their roles to start in place of the small network; a TOML file, as in examples/."),
  with: z.array(z.enum(["sharing", "files"])).default([]).meta({ placeholder: "what" })
    .describe(
      "What to add to the small network: sharing, which is an orchestrator, two nodes and a client with money; " +
        "files, which is a tracker and two peers that share folders.",
    ),
  egressPolicy: filePath().optional().describe(
    "What may be dialled where traffic leaves; a TOML file, followed while it changes.",
  ),
  dashboard: z.boolean().default(true).describe("Show it all in a browser; --no-dashboard does not."),
  dashboardListen: listenAddress("127.0.0.1:0")
    .refine(isLoopback, "an address of this machine alone, such as 127.0.0.1:8400")
    .describe("Where; any free port unless given."),
  kill: z.array(killSchema).default([])
    .describe("End a part at once when all is ready, or later, and tell how the next stream fares."),
});
type UpConfig = z.output<typeof config>;

export const role: Role<typeof config> = defineRole({
  name: "up",
  summary: "A network on this machine, to try: a small one, or that of a plan.",
  config,
  examples: [
    "culvert up",
    "culvert up --kill exit-1@10s --kill supernode-south@20s",
    "culvert up --with sharing",
    "culvert up --with files",
    "culvert up --plan examples/personal.toml --kill upstream-1@10s",
    "culvert up --listen 127.0.0.1:9050 --dashboard-listen 127.0.0.1:8400",
    "culvert up --egress-policy policy.toml --no-dashboard",
  ],
  async run(config, context) {
    const { json, print, signal, hardSignal } = context;
    await using directory = await temporaryDirectory();
    const isTyped = !json && Deno.stdin.isTerminal();
    const surroundings = { directory: directory.path, isTyped, context };
    const start = config.plan === undefined ? startSmall : startPlan;
    const serving = config.dashboard ? import("./up/dashboard.ts") : undefined;
    const { network, addresses, textWith } = await start(config, surroundings);
    await using _network = network;
    for (const name of network.names) context.check(name, () => network.failureOf(name));
    const notices = new Notices();
    const failures = new Failures({ network, context, tell: teller(context, notices) });
    await using dashboard = await (await serving)?.openUpDashboard({
      listen: config.dashboardListen,
      ...{ network, failures, notices },
    }, context);
    if (!json) print(textWith(dashboard?.url));
    // The token is for whoever has started it: people have it in what was printed, and it is not for service managers.
    const shown = dashboard && { dashboard: json ? dashboard.url : dashboard.address };
    context.ready({ addresses: { ...addresses, ...shown } });
    void dashboard?.load();
    const watching = [
      ...config.kill.map((kill) => failures.plan(kill)),
      isTyped ? obey(typedLines(signal), { network, failures, signal, print }) : undefined,
    ];
    await Promise.race([aborted(signal), network.fault]);
    await dashboard?.[Symbol.asyncDispose]();
    await network.stop(hardSignal);
    await Promise.all(watching);
  },
});

interface Surroundings {
  readonly directory: string;
  readonly isTyped: boolean;
  readonly context: RoleContext;
}

interface Started {
  readonly network: RunningNetwork;
  /** `listen` is the proxy. */
  readonly addresses: Record<string, string>;
  /** What people are told, with where the dashboard is. */
  textWith(dashboardUrl: string | undefined): string;
}

async function startSmall(config: UpConfig, { directory, isTyped, context }: Surroundings): Promise<Started> {
  const [withSharing, withFiles] = [config.with.includes("sharing"), config.with.includes("files")];
  requireParts(config, [...PART_NAMES, ...withSharing ? SHARING_NAMES : [], ...withFiles ? FILES_NAMES : []]);
  const listen = formatTarget(config.listen);
  const { egressPolicy } = config;
  const network = await SmallNetwork.start({ listen, egressPolicy, withSharing, withFiles, directory, context });
  const { sharing } = network;
  // People have it in the welcome.
  if (sharing && context.json) context.print(JSON.stringify({ sharing }));
  return {
    network,
    addresses: addressesOf(network),
    textWith: (dashboardUrl) => welcome(network, { isTyped, dashboardUrl }),
  };
}

async function startPlan(config: UpConfig, { directory, isTyped, context }: Surroundings): Promise<Started> {
  if (config.with.length > 0) throw new ConfigError("start up", ["--with adds to the small network, not to a --plan"]);
  const plan = await readPlan(config.plan!);
  requireParts(config, plan.machines);
  const listen = formatTarget(config.listen);
  const network = await Deployment.start({ plan, listen, egressPolicy: config.egressPolicy, directory, context });
  return {
    network,
    // People have them in the welcome.
    addresses: { listen: network.waysIn[0]!.at, ...context.json && network.addresses },
    textWith: (dashboardUrl) => deploymentWelcome(network, { plan, planFile: config.plan!, isTyped, dashboardUrl }),
  };
}

function requireParts({ kill }: UpConfig, names: readonly string[]): void {
  const problems = problemsOf(kill, names);
  if (problems.length > 0) throw new ConfigError("start up", problems);
}

/** People, or programs, and whoever watches the dashboard. */
function teller({ json, print, clock }: RoleContext, notices: Notices): FailuresOptions["tell"] {
  return (report, lines) => {
    if (json) print(JSON.stringify(report));
    else lines.forEach(print);
    notices.post(noticeOf(report, lines, clock.wallNow()));
  };
}

/** `listen` is the proxy; the others by their names. */
function addressesOf(network: SmallNetwork): Record<string, string> {
  const others = network.names.filter((name): name is Exclude<PartName, "client"> => name !== "client");
  const known = others.map((name) => [name, network.addressOf(name)] as const);
  return {
    listen: network.proxy,
    ...Object.fromEntries(known.flatMap(([name, at]) => at === undefined ? [] : [[name, at]])),
    ...network.sharing && { "sharing-proxy": network.sharing.proxy },
    ...Object.fromEntries(network.pages.map(({ name, url }) => [name, url])),
  };
}

async function temporaryDirectory(): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await Deno.makeTempDir({ prefix: "culvert-up-" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));
