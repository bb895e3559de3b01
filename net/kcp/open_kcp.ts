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
import { KCP_MAX_MTU_BYTES } from "../../protocol/kcp/segment.ts";
import { parseCredential } from "../../protocol/sealed_packets/credentials.ts";
import type { Path } from "../../protocol/stream.ts";
import type { OpenOptions } from "../open.ts";
import { openClientCarrier, readCarrierSettings } from "../packets/carrier_url.ts";
import { CachingResolver } from "../resolve.ts";
import { MAX_LINKS } from "../tunnel_path.ts";
import { TransportUrl } from "../transport_url.ts";
import { openCulvertKcp } from "./culvert_client.ts";
import { openKcptunUrl } from "./kcptun_url.ts";
import { openPaqetUrl } from "./paqet_url.ts";

const DIALECTS = ["culvert", "kcptun", "paqet"] as const;

/** Opens the Path a `kcp+udp:` or `kcp+raw:` URL names. Throws a CulvertError `bad_url`, `bad_key` or `bad_option`. */
export function openKcp(text: string, options: OpenOptions): Path {
  const url = new TransportUrl(text, "kcp");
  const dialect = url.settings.choice("dialect", DIALECTS, "culvert");
  return { culvert: openCulvert, kcptun: openKcptunUrl, paqet: openPaqetUrl }[dialect](url, options);
}

function openCulvert(url: TransportUrl, options: OpenOptions): Path {
  const { clock, random, log, metrics } = options;
  const { settings } = url;
  if (url.key === undefined) throw url.fail("must have the credential that the server gave, before the @");
  const carrier = readCarrierSettings(url, "ours");
  const links = settings.number("links", { least: 1, most: MAX_LINKS, usual: 1 });
  const hopMs = 1000 * settings.number("hop", { least: 0, most: 86_400, usual: 30 });
  const window = settings.number("window", { least: 16, most: 32_768, usual: 8192 });
  const mtu = settings.number("mtu", { least: 576, most: KCP_MAX_MTU_BYTES, usual: 1400 });
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
