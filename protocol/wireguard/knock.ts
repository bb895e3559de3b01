/**
 * An initiation that nobody can read: of the right type and length, with the mac1 of the one it is for, and otherwise made
 * of chance. A WireGuard device drops it without a word. A blind relay, which looks no further than mac1, learns from it
 * where its sender may be, and the sender's NAT lets the relay in, while the sender's device, which has keys with that peer
 * already, need not begin a handshake and lose them. Whitepaper §5.4.2, §5.4.4.
 */

import { Blake2s } from "../blake2s.ts";
import type { Bytes } from "../primitives.ts";
import type { Random } from "../random.ts";
import { INITIATION_BYTES, INITIATION_TYPE } from "./constants.ts";
import { mac1Key } from "./mac1.ts";
import { INITIATION, MAC_BYTES } from "./messages.ts";
import type { Key } from "./settings.ts";

/** For the owner of that key. */
export function makeKnock(publicKey: Key, random: Random): Bytes {
  const knock = random.fill(new Uint8Array(INITIATION_BYTES));
  new DataView(knock.buffer).setUint32(0, INITIATION_TYPE, true);
  const hasher = new Blake2s();
  hasher.start(MAC_BYTES, mac1Key(publicKey, hasher)).update(knock, 0, INITIATION.macs).finish(knock, INITIATION.macs);
  return knock.fill(0, INITIATION.macs + MAC_BYTES);
}
