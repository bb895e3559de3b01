/**
 * Refresh tokens as text: which one of which family, and a MAC that shows that we made it.
 *
 *   familyId "." generation "." base64url(HMAC-SHA256(key, "culvert/refresh/v1" 00 familyId 00 generation))
 *
 * Neither a family's id nor a number has a zero byte in it, so no two tokens have the same MAC.
 */

import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { equalInConstantTime } from "../constant_time.ts";
import { decodeBase64Url, encodeBase64Url } from "../encoding.ts";

export interface RefreshToken {
  readonly familyId: string;
  readonly generation: number;
}

const TOKEN = /^([a-z2-7]{1,26})\.(0|[1-9]\d{0,8})\.([A-Za-z0-9_-]{43})$/;
const DOMAIN = "culvert/refresh/v1";

export function formatRefreshToken(token: RefreshToken, key: Uint8Array): string {
  return `${token.familyId}.${token.generation}.${encodeBase64Url(macOf(token, key))}`;
}

/** Undefined for what was not made with this key. */
export function parseRefreshToken(text: string, key: Uint8Array): RefreshToken | undefined {
  const match = TOKEN.exec(text);
  if (!match) return undefined;
  const token = { familyId: match[1]!, generation: Number(match[2]) };
  const mac = decodeBase64Url(match[3]!);
  return mac && equalInConstantTime(mac, macOf(token, key)) ? token : undefined;
}

function macOf({ familyId, generation }: RefreshToken, key: Uint8Array): Uint8Array {
  return hmac(sha256, key, new TextEncoder().encode(`${DOMAIN}\0${familyId}\0${generation}`));
}
