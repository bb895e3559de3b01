/**
 * `kcp+raw://KEY@host:port/?dialect=paqet&…`: a paqet server by its URL, with paqet's own names for its settings, and
 * `kcp+udp://…` for a server of ours that speaks so without raw packets.
 */

import { cryptNames } from "../../protocol/packet_layer/crypt.ts";
import { paqetDefaults, type PaqetSettings } from "../../protocol/paqet/paqet_settings.ts";
import type { Path } from "../../protocol/stream.ts";
import { parseFlags } from "../../protocol/tcp_look/flags.ts";
import type { OpenOptions } from "../open.ts";
import { openClientCarrier, readCarrierSettings } from "../packets/carrier_url.ts";
import type { QuerySettings } from "../query_settings.ts";
import type { TransportUrl } from "../transport_url.ts";
import { modeNames } from "./kcptun_url.ts";
import { openPaqet } from "./paqet_client.ts";

const MOST_FLAGS = 64;

/** A Path through the paqet server that the URL names. */
export function openPaqetUrl(url: TransportUrl, options: OpenOptions): Path {
  const { clock, random, log, metrics } = options;
  const { settings } = url;
  const flags = readFlags(url, "local_flag");
  const serverFlags = readFlags(url, "remote_flag")?.map(parseFlags);
  const carrier = { ...readCarrierSettings(url, "paqet"), ...flags && { flags } };
  const paqet = readPaqetSettings(settings, { ...paqetDefaults.client, key: url.key ?? "" });
  const conn = settings.number("conn", { least: 1, most: 256, usual: 1 });
  settings.done();
  if (url.ports.count > 1) throw url.fail("must have one port: paqet has no more");
  const tools = { clock, random, log, metrics };
  return openPaqet({
    ...tools,
    ...paqet,
    ...{ host: url.host, port: url.ports.first, conn },
    ...serverFlags && { serverFlags },
    openCarrier: ({ host, port }, signal) => openClientCarrier(carrier, { host, ports: port }, tools, signal),
  });
}

/** By paqet's own names, but the key. */
export function readPaqetSettings(settings: QuerySettings, usual: PaqetSettings): PaqetSettings {
  const number = (name: keyof PaqetSettings & string, least: number, most: number) =>
    settings.number(name, { least, most, usual: usual[name] as number });
  return {
    key: usual.key,
    block: settings.choice("block", cryptNames, usual.block),
    mode: settings.choice("mode", modeNames, usual.mode),
    mtu: number("mtu", 100, 1500),
    sndwnd: number("sndwnd", 1, 32_768),
    rcvwnd: number("rcvwnd", 1, 32_768),
    dshard: number("dshard", 0, 128),
    pshard: number("pshard", 0, 128),
    nodelay: number("nodelay", 0, 1),
    interval: number("interval", 10, 5000),
    resend: number("resend", 0, 100),
    nocongestion: number("nocongestion", 0, 1),
    wdelay: settings.flag("wdelay"),
    acknodelay: settings.flag("acknodelay"),
    smuxbuf: number("smuxbuf", 1024, 2 ** 31 - 1),
    streambuf: number("streambuf", 1024, 2 ** 31 - 1),
    smuxkalive: number("smuxkalive", 1, 3600),
    smuxktimeout: number("smuxktimeout", 2, 7200),
  };
}

/** Letters that packets take turns with, `PA,A`. */
function readFlags(url: TransportUrl, name: string): string[] | undefined {
  const flags = url.settings.text(name)?.split(",");
  if (!flags) return undefined;
  try {
    if (flags.length <= MOST_FLAGS && flags.every((letters) => parseFlags(letters) > 0)) return flags;
  } catch {
    // Told below, as of the URL.
  }
  throw url.fail(`must have ${name} as up to ${MOST_FLAGS} of letters such as PA,A`);
}
