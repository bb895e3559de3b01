/**
 * What `culvert up` tells people.
 */

import { shellWord } from "../private_file.ts";
import { tableLines } from "../table.ts";
import type { SmallNetwork, WatchedNetwork } from "./network.ts";
import { PART_NAMES, type PartName, PARTS } from "./parts.ts";
import type { FoundRoute } from "./route.ts";

/** What runs where. */
export function partLines(network: WatchedNetwork): string[] {
  return tableLines<PartName>([
    { title: "part", cell: (name) => name },
    { title: "region", cell: (name) => PARTS[name].region ?? "" },
    { title: "where", cell: (name) => whereOf(network, name) },
    { title: "peer id", cell: (name) => network.peerIdOf(name) ?? "" },
  ], PART_NAMES);
}

function whereOf(network: WatchedNetwork, name: PartName): string {
  return network.isRunning(name) ? network.addressOf(name) ?? "(no port)" : "(killed)";
}

/** The way a stream takes now. */
export function routeLines(network: WatchedNetwork, { travel, tookMs }: FoundRoute): string[] {
  return [`${network.partsOf(travel).join(" > ")}, and back with the page in ${tookMs.toFixed(1)} ms`];
}

export function welcome(network: SmallNetwork, { isTyped }: { readonly isTyped: boolean }): string {
  const admin = shellWord(network.stateDirOf("supernode-south"));
  const kill = isTyped
    ? "type  kill exit-1  and Enter here; help tells what else there is"
    : "culvert up --kill exit-1@10s";
  return `
${partLines(network).map((line) => `  ${line}`.trimEnd()).join("\n")}

Try it; the page comes from the far end, tells its way, and needs no network:

  curl -x socks5h://${network.proxy} http://hello.culvert/

See an exit fail: ${kill}.
See who is connected:

  culvert admin streams --state-dir ${admin}

Ctrl-C stops everything.
`;
}
