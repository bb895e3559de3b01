/**
 * Paths over vtcp by their URLs: QUIC in packets that look like TCP of no connection, which needs root, or in UDP.
 *
 *   vtcp://CREDENTIAL@host:port/        a span of ports (host:45000-45007) is hopped over
 *   vtcp+udp://CREDENTIAL@host:port/    the same in UDP
 *   vtcp://SECRET@host:45000-45007/?dialect=gfk-go&carrier=kcp      a server of GFK (`gfk_url.ts`)
 *
 * docs/transports.md has every setting. What is wrong is told at once, except where the server is.
 */

import { parseCredential } from "../../protocol/sealed_packets/credentials.ts";
import type { Path } from "../../protocol/stream.ts";
import { LazyPath } from "../lazy_path.ts";
import type { OpenOptions } from "../open.ts";
import { readCarrierSettings } from "../packets/carrier_url.ts";
import { systemHost } from "../system_host.ts";
import { TransportUrl } from "../transport_url.ts";
import { openGfkUrl } from "./gfk_url.ts";
import { openVtcp } from "./vtcp_path.ts";

/** Opens the Path a `vtcp:` or `vtcp+udp:` URL names. Throws a CulvertError `bad_url` or `bad_key`. */
export function openVtcpUrl(text: string, options: OpenOptions): Path {
  const { clock, random, log, metrics } = options;
  const url = new TransportUrl(text, "vtcp");
  const dialect = url.settings.choice("dialect", ["culvert", "gfk-py", "gfk-go"], "culvert");
  if (dialect !== "culvert") return openGfkUrl(url, dialect, options);
  if (url.key === undefined) throw url.fail("must have the credential that the server gave, before the @");
  const credential = parseCredential(url.key);
  const { relays, look, ...carrier } = readCarrierSettings(url, "ours");
  url.settings.done();
  if (relays.length > 0) throw url.fail("may say via only of kcp+udp");
  return new LazyPath(async () => {
    const peer = { host: await systemHost(url.host), ports: url.ports };
    return await openVtcp({
      credential,
      carrier: { ...carrier, peer, ...look && { look } },
      ...{ clock, random, log, metrics },
    });
  }, { clock, log });
}
