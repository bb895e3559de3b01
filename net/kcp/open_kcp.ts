/**
 * Paths over KCP by their URLs, in every dialect:
 *
 *   kcp+udp://CREDENTIAL@host:port/                    our own; a span of ports (host:45000-45007) is hopped over
 *   kcp+raw://CREDENTIAL@host:port/                    the same in packets that look like TCP; needs root
 *   kcp+udp://KEY@host:port/?dialect=kcptun&crypt=aes  a kcptun server, with kcptun's own names for its settings
 *   kcp+raw://KEY@host:port/?dialect=paqet&crypt=aes   a paqet server
 *
 * docs/transports.md has every setting. What is wrong is told at once, except where the server is.
 */

import { formatIp } from "../../protocol/ip.ts";
import type { KcpModeName } from "../../protocol/kcp/kcp_options.ts";
import { cryptNames } from "../../protocol/packet_layer/crypt.ts";
import { kcptunDefaults, type KcptunSettings } from "../../protocol/packet_layer/kcptun_settings.ts";
import { parseCredential } from "../../protocol/sealed_packets/credentials.ts";
import type { Path } from "../../protocol/stream.ts";
import type { OpenOptions } from "../open.ts";
import { openClientCarrier, readCarrierSettings } from "../packets/carrier_url.ts";
import { CachingResolver } from "../resolve.ts";
import { MAX_LINKS } from "../tunnel_path.ts";
import type { QuerySettings } from "../query_settings.ts";
import { TransportUrl } from "../transport_url.ts";
import { openCulvertKcp } from "./culvert_client.ts";
import { openKcptun } from "./kcptun_client.ts";

const DIALECTS = ["culvert", "kcptun"] as const;
const MODES: readonly KcpModeName[] = ["normal", "fast", "fast2", "fast3", "manual"];

/** Opens the Path a `kcp+udp:` or `kcp+raw:` URL names. Throws a CulvertError `bad_url`, `bad_key` or `bad_option`. */
export function openKcp(text: string, options: OpenOptions): Path {
  const url = new TransportUrl(text, "kcp");
  const dialect = url.settings.choice("dialect", DIALECTS, "culvert");
  return { culvert: openCulvert, kcptun: openTun }[dialect](url, options);
}

function kindOf(url: TransportUrl): "udp" | "raw" {
  return url.scheme === "kcp+raw" ? "raw" : "udp";
}

function openCulvert(url: TransportUrl, options: OpenOptions): Path {
  const { clock, random, log, metrics } = options;
  const { settings } = url;
  if (url.key === undefined) throw url.fail("must have the credential that the server gave, before the @");
  const carrier = readCarrierSettings(url, kindOf(url), "ours");
  const links = settings.number("links", { least: 1, most: MAX_LINKS, usual: 1 });
  const hopMs = 1000 * settings.number("hop", { least: 0, most: 86_400, usual: 30 });
  const window = settings.number("window", { least: 16, most: 32_768, usual: 8192 });
  const mtu = settings.number("mtu", { least: 576, most: 9000, usual: 1400 });
  settings.done();
  const tools = { clock, random, log, metrics };
  const server = { host: url.host, ports: url.ports };
  const resolver = new CachingResolver({ clock });
  return openCulvertKcp({
    ...tools,
    ...{ server, links, hopMs },
    credential: parseCredential(url.key),
    settings: { window, maxDatagramBytes: mtu },
    resolve: async (name, signal) => (await resolver.resolve(name, signal)).map(formatIp),
    openCarrier: (host, signal) => openClientCarrier(carrier, { host, ports: url.ports }, tools, signal),
  });
}

function openTun(url: TransportUrl, options: OpenOptions): Path {
  const { clock, random, log, metrics } = options;
  const { settings } = url;
  const carrier = readCarrierSettings(url, kindOf(url), "ours");
  const kcptun = readKcptunSettings(settings, {
    ...kcptunDefaults.client,
    ...url.key !== undefined && { key: url.key },
  });
  const conn = settings.number("conn", { least: 1, most: 256, usual: 1 });
  const autoexpire = settings.number("autoexpire", { least: 0, most: 1e6, usual: 0 });
  const scavengettl = settings.number("scavengettl", { least: 0, most: 1e6, usual: 600 });
  const far = settings.choice("far", ["fixed", "socks5"], "fixed");
  const halfClose = settings.flag("halfclose");
  settings.done();
  if (url.ports.count > 1) throw url.fail("must have one port: kcptun has no more");
  const tools = { clock, random, log, metrics };
  return openKcptun({
    ...tools,
    ...kcptun,
    ...{ host: url.host, port: url.ports.first, conn, autoexpire, scavengettl, far, halfClose },
    openCarrier: ({ host, port }, signal) => openClientCarrier(carrier, { host, ports: port }, tools, signal),
  });
}

/** By kcptun's own names, but the key. */
export function readKcptunSettings(settings: QuerySettings, usual: KcptunSettings): KcptunSettings {
  const number = (name: keyof KcptunSettings & string, least: number, most: number) =>
    settings.number(name, { least, most, usual: usual[name] as number });
  return {
    key: usual.key,
    crypt: settings.choice("crypt", cryptNames, usual.crypt),
    mode: settings.choice("mode", MODES, usual.mode),
    mtu: number("mtu", 100, 1500),
    sndwnd: number("sndwnd", 1, 32_768),
    rcvwnd: number("rcvwnd", 1, 32_768),
    datashard: number("datashard", 0, 32),
    parityshard: number("parityshard", 0, 32),
    nocomp: settings.flag("nocomp"),
    acknodelay: settings.flag("acknodelay"),
    nodelay: number("nodelay", 0, 1),
    interval: number("interval", 10, 5000),
    resend: number("resend", 0, 100),
    nc: number("nc", 0, 1),
    smuxver: number("smuxver", 1, 2) as 1 | 2,
    smuxbuf: number("smuxbuf", 65_536, 2 ** 30),
    streambuf: number("streambuf", 4096, 2 ** 30),
    keepalive: number("keepalive", 1, 29),
  };
}
