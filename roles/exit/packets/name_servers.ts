/**
 * Whom an exit asks for names: the servers it was given, or those of the machine, which may change while it runs.
 */

import type { Clock } from "../../../protocol/clock.ts";
import { type IpAddress, parseIp } from "../../../protocol/ip.ts";
import type { NameServer } from "./dns_upstream.ts";

const DNS_PORT = 53;
/** resolv.conf(5) counts no more. */
const MAX_SERVERS = 3;
const KEEP_MS = 10_000;
const RESOLV_CONF = "/etc/resolv.conf";

/** Those of the machine, read anew now and then; as in resolv.conf(5) the machine itself where none is named. */
export function systemNameServers(
  clock: Clock,
  readTextFile: (path: string) => Promise<string> = Deno.readTextFile,
): () => Promise<readonly NameServer[]> {
  let kept: Promise<readonly NameServer[]> | undefined;
  let untilMs = -Infinity;
  return () => {
    if (!kept || clock.now() >= untilMs) {
      untilMs = clock.now() + KEEP_MS;
      kept = readTextFile(RESOLV_CONF).catch(() => "").then(parseNameServers);
    }
    return kept;
  };
}

export function givenNameServers(addresses: readonly IpAddress[]): () => Promise<readonly NameServer[]> {
  const servers = Promise.resolve(addresses.map((address) => ({ address, port: DNS_PORT })));
  return () => servers;
}

/** The servers in the text of a resolv.conf. */
export function parseNameServers(text: string): NameServer[] {
  const named = [...text.matchAll(/^nameserver[ \t]+([0-9A-Fa-f:.]+)[ \t]*$/gm)]
    .map(([, address]) => parseIp(address!)).filter((address) => address !== undefined).slice(0, MAX_SERVERS);
  const addresses = named.length > 0 ? named : [parseIp("127.0.0.1")!];
  return addresses.map((address) => ({ address, port: DNS_PORT }));
}
