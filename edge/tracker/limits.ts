/** How often one address may ask a tracker, one peer may register, and one token may be shown. */

import { AuthLimits } from "../../protocol/control/auth_limits.ts";
import type { Random } from "../../protocol/random.ts";

/** Of one address, unless told otherwise: hundreds of peers may be behind one. */
export const DEFAULT_ADDRESS_PER_SECOND = 200;
/** Peers that may all have asked within the last seconds: a power of two, 12 bytes each. */
const PEER_SLOTS = 2 ** 18;

export function trackerLimits(random: Random, addressPerSecond = DEFAULT_ADDRESS_PER_SECOND): AuthLimits {
  return new AuthLimits(random, {
    address: { perSecond: addressPerSecond, burst: 5 * addressPerSecond },
    peer: { perSecond: 5, burst: 20, slots: PEER_SLOTS },
  });
}
