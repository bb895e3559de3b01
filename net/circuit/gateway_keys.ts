/**
 * The keys that a gateway shows to the relays it dials, so that they can tell of it: a header beside those of
 * `link_auth.ts`, that needs no signature of its own since the identity has signed what is in it.
 *
 *   culvert-gateway-keys: identity's public key | space | sealing key | space | signature of the sealing key
 */

import { verifyCertificate } from "../../protocol/certificate.ts";
import { type RelayGateway, relayGatewaySchema } from "../../protocol/directory.ts";
import { encodeBase64 } from "../../protocol/encoding.ts";
import type { Identity } from "../../protocol/identity.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import { isOwnSealingKey } from "../../protocol/sealing_key.ts";
import { CERTIFICATE_HEADER } from "./link_auth.ts";

export const GATEWAY_KEYS_HEADER = "culvert-gateway-keys";

/** What a gateway adds to its request for a link. */
export function gatewayKeysHeader(identity: Identity): Readonly<Record<string, string>> {
  const { publicKey, wireguardKey, signature } = identity.wireguardBinding();
  return { [GATEWAY_KEYS_HEADER]: [publicKey, wireguardKey, signature].map(encodeBase64).join(" ") };
}

/** The gateway as it is told of; undefined when its keys are not its own. */
export function readGatewayKeys(
  gatewayId: string,
  headers: { get(name: string): string | null },
  primitives: Primitives,
): RelayGateway | undefined {
  const [publicKey, sealingKey, sealingKeySignature] = headers.get(GATEWAY_KEYS_HEADER)?.split(" ") ?? [];
  const certificate = headers.get(CERTIFICATE_HEADER) ?? undefined;
  const told = { gatewayId, publicKey, sealingKey, sealingKeySignature, ...(certificate && { certificate }) };
  const gateway = relayGatewaySchema.safeParse(told).data;
  return gateway && isOwnSealingKey(gatewayId, gateway, primitives) ? gateway : undefined;
}

/** Whether base would take it: in a closed network its certificate has to count still. */
export function isCertifiedGateway(
  { gatewayId, certificate }: RelayGateway,
  check: { readonly networkPublicKey: Uint8Array; readonly nowMs: number; readonly primitives: Primitives } | undefined,
): boolean {
  if (!check) return true;
  if (certificate === undefined) return false;
  return verifyCertificate(certificate, { ...check, peerId: gatewayId, role: "gateway" }).ok;
}
