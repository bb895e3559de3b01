/** The address of a host that is given by its address or its name, as the system knows it. */

import { DialError } from "../protocol/errors.ts";
import { formatIp, parseIp } from "../protocol/ip.ts";
import { systemLookup } from "./resolve.ts";

export async function systemHost(host: string): Promise<string> {
  const literal = parseIp(host);
  if (literal) return formatIp(literal);
  const [address] = await systemLookup(host).catch((cause) => {
    throw new DialError("unresolved", "Cannot reach the server: its name cannot be looked up", { cause });
  });
  if (address) return formatIp(address);
  throw new DialError("unresolved", "Cannot reach the server: its name has no address");
}
