/**
 * What there is without FFI and QUIC: stands in the npm package for the modules that need them, so that what can do
 * without goes on in JavaScript and what cannot says so. `tools/pack.ts` knows for which.
 */

import { CulvertError } from "../../protocol/errors.ts";
import type { PacketCipher } from "../../protocol/packet_layer/checked_seal.ts";
import type { Nonces } from "../../protocol/packet_layer/nonces.ts";
import type { PacketCarrier } from "../../protocol/packet_carrier.ts";
import type { PacketSeal } from "../../protocol/packet_seal.ts";
import type { Bytes } from "../../protocol/primitives.ts";
import type { Path } from "../../protocol/stream.ts";
import type { WireGuardCrypto } from "../../protocol/wireguard/crypto.ts";

/** As `native/packet_cipher.ts` has it. */
export interface PacketCiphers extends Disposable {
  gcm(key: Bytes, nonces: Nonces): PacketSeal & Disposable;
  cfb(key: Bytes): PacketCipher;
}

interface Explained {
  explain?(reason: string): void;
}

const REASON = "this package has no FFI";

/** There is no libcrypto: `node:crypto` is used. */
export function openLibcrypto({ explain }: Explained): (WireGuardCrypto & Disposable) | undefined {
  explain?.(REASON);
  return undefined;
}

/** There is no libcrypto: plain JavaScript is used. */
export function openPacketCiphers({ explain }: Explained): PacketCiphers | undefined {
  explain?.(REASON);
  return undefined;
}

/** There is no libc: datagrams go one by one. */
export function openUdpCarrier(_options: unknown): PacketCarrier {
  throw new CulvertError("no_libc", `Cannot send datagrams by the batch: ${REASON}`);
}

export function openRawCarrier(_options: unknown): Promise<PacketCarrier> {
  throw new CulvertError("unsupported", `Cannot open a raw carrier: ${REASON}, run it in Deno`);
}

export function openVtcpUrl(_text: string, _options: unknown): Path {
  throw new CulvertError("unsupported", "Cannot open a path: vtcp needs QUIC, which Node has none of; run it in Deno");
}
