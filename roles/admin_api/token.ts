/** What administrators must know where nobody has chosen it. */

import { encodeBase64Url } from "../../protocol/encoding.ts";
import type { Random } from "../../protocol/random.ts";

const TOKEN_BYTES = 32;

/** What nobody can guess. */
export function newToken(random: Random): string {
  return encodeBase64Url(random.fill(new Uint8Array(TOKEN_BYTES)));
}
