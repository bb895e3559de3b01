/**
 * `vtcp://SECRET@host:45000-45007/?dialect=gfk-go&carrier=kcp`: a server of GFK by its URL. The host `backend.invalid` means
 * the server's backend.
 */

import { systemHost } from "../system_host.ts";
import { LazyPath } from "../lazy_path.ts";
import type { OpenOptions } from "../open.ts";
import { readCarrierSettings } from "../packets/carrier_url.ts";
import type { TransportUrl } from "../transport_url.ts";
import type { Path } from "../../protocol/stream.ts";
import { type GfkOptions, openGfk } from "./gfk_path.ts";

/** A Path through the GFK server that the URL names. */
export function openGfkUrl(url: TransportUrl, dialect: GfkOptions["dialect"], options: OpenOptions): Path {
  const { clock, random, log, metrics } = options;
  const { settings } = url;
  const { relays, look, ...carrier } = readCarrierSettings(url, dialect);
  const transport = settings.choice("carrier", ["quic", "kcp"], "quic");
  const mtuBytes = settings.number("mtu", { least: 576, most: 1500, usual: 1400 });
  const isUnverified = settings.flag("unverified");
  const file = settings.text("certificate"), serverName = settings.text("name") ?? url.host;
  settings.done();
  if (relays.length > 0) throw url.fail("may say via only of kcp+udp");
  if (dialect === "gfk-go" && url.key === undefined) throw url.fail("must have the secret, before the @");
  if (dialect === "gfk-py" && transport === "kcp") throw url.fail("must have carrier quic with gfk-py");
  if (transport === "quic" && !isUnverified && file === undefined) {
    throw url.fail("must have the server's certificate as a file, certificate=/path.pem, or unverified=1");
  }
  return new LazyPath(async () => {
    const certificate = file === undefined ? "unverified" : { pem: await Deno.readTextFile(file), serverName };
    return await openGfk({
      ...{ dialect, transport, mtuBytes, clock, random, log, metrics, certificate },
      ...url.key !== undefined && { secret: url.key },
      carrier: { ...carrier, peer: { host: await systemHost(url.host), ports: url.ports }, ...look && { look } },
    });
  }, { clock, log });
}
