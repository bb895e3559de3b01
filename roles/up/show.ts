/**
 * What `culvert up` tells people.
 */

import { shellWord } from "../private_file.ts";
import { tableLines } from "../table.ts";
import { wrap } from "../config/help.ts";
import type { Deployment } from "./deployment.ts";
import type { SmallNetwork } from "./network.ts";
import { type PartName, PARTS } from "./parts.ts";
import type { Plan } from "./plan.ts";
import type { FoundRoute } from "./route.ts";
import type { WatchedNetwork } from "./watched_network.ts";

export interface PartSight {
  addressOf(name: PartName): string | undefined;
  isRunning(name: PartName): boolean;
  peerIdOf(name: PartName): string | undefined;
}

/** What runs where in the small network. */
export function partLines(names: readonly PartName[], sight: PartSight): string[] {
  return tableLines<PartName>([
    { title: "part", cell: (name) => name },
    { title: "region", cell: (name) => PARTS[name].region ?? "" },
    { title: "where", cell: (name) => sight.isRunning(name) ? sight.addressOf(name) ?? "(no port)" : "(killed)" },
    { title: "peer id", cell: (name) => sight.peerIdOf(name) ?? "" },
  ], names);
}

/** The way a stream takes now. */
export function routeLines(network: WatchedNetwork, { travel, tookMs }: FoundRoute): string[] {
  return [`${network.partsOf(travel).join(" > ")}, and back with the page in ${tookMs.toFixed(1)} ms`];
}

/** What else is to be told. */
export interface Shown {
  /** Whether commands can be typed. */
  readonly isTyped: boolean;
  /** With the token; undefined when there is to be no dashboard. */
  readonly dashboardUrl: string | undefined;
}

/** Of the small network. */
export function welcome(network: SmallNetwork, { isTyped, dashboardUrl }: Shown): string {
  const admin = shellWord(network.stateDirOf("supernode-south"));
  return `
${indented(network.lines())}

Try it; the page comes from the far end, tells its way, and needs no network:

  curl -x socks5h://${network.proxy} http://hello.culvert/

${dashboardLines(dashboardUrl)}See an exit fail: ${howToKill("exit-1", isTyped)}.
See who is connected:

  culvert admin streams --state-dir ${admin}
${sharingLines(network)}${filesLines(network)}
Ctrl-C stops everything.
`;
}

function dashboardLines(url: string | undefined): string {
  if (url === undefined) return "";
  return `See it all in a browser, and kill an exit there; whoever has the address may:

  ${url}

`;
}

function sharingLines(network: SmallNetwork): string {
  const { sharing } = network;
  if (!sharing) return "";
  const { proxy, client, owner } = sharing;
  return `
People share their connections here too. A client with 10.00 to spend:

  curl -x socks5h://${client.userId}:${client.proxySecret}@${proxy} http://hello.culvert/

What it cost, who earned it, and the nodes: http://${network.addressOf("orchestrator")}/
  the client   ${client.userId}   secret ${client.secret}
  the owner    ${owner.userId}   secret ${owner.secret}
`;
}

function filesLines({ pages }: SmallNetwork): string {
  const [first, second] = pages;
  if (!first || !second) return "";
  return `
Two peers share files, each with a page that shows its own and the other's:

  ${first.url}   ${first.folder}
  ${second.url}   ${second.folder}
`;
}

/** Of a plan's network. */
export function deploymentWelcome(
  network: Deployment,
  { plan, planFile, isTyped, dashboardUrl }: Shown & { readonly plan: Plan; readonly planFile: string },
): string {
  const [victim] = plan.roles.filter(({ role }) => role === "upstream" || role === "relay");
  const curls = network.waysIn.map(({ machine, at }) => ({
    line: `curl -x socks5h://${at} http://hello.culvert/`,
    machine,
  }));
  return `
${wrap(plan.summary, 80).join("\n")}

${indented(network.lines())}

A page has come through. Try it; it comes from the far end and needs no network:

${indented(curls.map(({ line, machine }) => curls.length > 1 ? `${line}   # ${machine}` : line))}

${dashboardLines(dashboardUrl)}${
    victim ? `See a machine fail: ${howToKill(victim.machine, isTyped, ["--plan", planFile])}.` : ""
  }
Ctrl-C stops everything.
`;
}

function howToKill(name: string, isTyped: boolean, settings: readonly string[] = []): string {
  return isTyped
    ? `type  kill ${name}  and Enter here; help tells what else there is`
    : ["culvert", "up", ...settings.map(shellWord), "--kill", `${name}@10s`].join(" ");
}

function indented(lines: readonly string[]): string {
  return lines.map((line) => `  ${line}`.trimEnd()).join("\n");
}
