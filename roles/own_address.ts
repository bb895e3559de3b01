/** The address of this machine that a server was told to listen on, by an address or by a name. */

import { systemLookup } from "../net/resolve.ts";
import { CulvertError } from "../protocol/errors.ts";
import { formatIp, parseIp } from "../protocol/ip.ts";

export async function ownAddress(host: string): Promise<string> {
  if (parseIp(host)) return host;
  const [address] = await systemLookup(host).catch((cause) => {
    throw new CulvertError("cannot_listen", `Cannot listen on ${host}: it cannot be looked up`, { cause });
  });
  if (address) return formatIp(address);
  throw new CulvertError("cannot_listen", `Cannot listen on ${host}: it has no address`);
}
