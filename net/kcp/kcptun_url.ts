/**
 * `kcp+udp://KEY@host:port/?dialect=kcptun&…`: a kcptun server by its URL, with kcptun's own names for its settings.
 */

import type { KcpModeName } from "../../protocol/kcp/kcp_options.ts";
import { cryptNames } from "../../protocol/packet_layer/crypt.ts";
import { kcptunDefaults, type KcptunSettings } from "../../protocol/packet_layer/kcptun_settings.ts";
import type { Path } from "../../protocol/stream.ts";
import type { OpenOptions } from "../open.ts";
import { openClientCarrier, readCarrierSettings } from "../packets/carrier_url.ts";
import type { QuerySettings } from "../query_settings.ts";
import type { TransportUrl } from "../transport_url.ts";
import { openKcptun } from "./kcptun_client.ts";

/** Those of kcptun, and of paqet. */
export const modeNames: readonly KcpModeName[] = ["normal", "fast", "fast2", "fast3", "manual"];

/** A Path through the kcptun server that the URL names. */
export function openKcptunUrl(url: TransportUrl, options: OpenOptions): Path {
  const { clock, random, log, metrics } = options;
  const { settings } = url;
  const carrier = readCarrierSettings(url, "ours");
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
    mode: settings.choice("mode", modeNames, usual.mode),
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
