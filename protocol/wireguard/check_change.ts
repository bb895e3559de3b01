/**
 * Whether a change is one that a device can be asked to make: every key, port and address has its size and range.
 * Checked before anything of it is applied, so that a wrong one changes nothing.
 */

import { CulvertError } from "../errors.ts";
import { type Cidr, networkOf } from "../ip.ts";
import { KEY_BYTES } from "../primitives.ts";
import type { DeviceChange, Key, PeerChange } from "./settings.ts";

const MAX_U16 = 0xffff;
const MAX_U32 = 0xffffffff;

/** Throws for the first value that is wrong; the message never shows a key. */
export function checkDeviceChange(change: DeviceChange): void {
  checkKey("privateKey", change.privateKey);
  checkRange("listenPort", change.listenPort, { max: MAX_U16 });
  checkRange("fwmark", change.fwmark, { max: MAX_U32 });
  for (const peer of change.peers ?? []) checkPeer(peer);
}

function checkPeer(peer: PeerChange): void {
  checkKey("publicKey", peer.publicKey);
  checkKey("presharedKey", peer.presharedKey);
  checkRange("persistentKeepaliveS", peer.persistentKeepaliveS, { max: MAX_U16 });
  if (peer.endpoint) {
    const { address, port, scopeId } = peer.endpoint;
    if (address.length !== 4 && address.length !== 16) {
      refuseValue("an endpoint's address", "4 or 16 bytes", address.length);
    }
    checkRange("an endpoint's port", port, { min: 1, max: MAX_U16 });
    checkRange("an endpoint's scopeId", scopeId, { max: MAX_U32 });
  }
  for (const { cidr } of peer.allowedIps ?? []) checkCidr(cidr);
}

function checkCidr({ address, bits }: Cidr): void {
  if (address.length !== 4 && address.length !== 16) refuseValue("an allowed address", "4 or 16 bytes", address.length);
  if (!networkOf(address, bits)) refuseValue("an allowed address's bits", `0 to ${address.length * 8}`, bits);
}

function checkKey(what: string, key: Key | undefined): void {
  if (key && key.length !== KEY_BYTES) refuseValue(what, `${KEY_BYTES} bytes`, key.length);
}

function checkRange(what: string, value: number | undefined, { min = 0, max }: { min?: number; max: number }): void {
  if (value === undefined || (Number.isInteger(value) && value >= min && value <= max)) return;
  refuseValue(what, `${min} to ${max}`, value);
}

/** Throws: a change cannot be made as it is. */
export function refuseValue(what: string, rule: string, got: number): never {
  throw new CulvertError("bad_value", `Cannot configure a WireGuard device: ${what} must be ${rule}, got ${got}`);
}
