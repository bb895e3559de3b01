/**
 * BLAKE2s's compression, RFC 7693 §3.2, with its sixteen words in variables and every step of the mixing function (§3.1)
 * written out: three times as fast as with the words in an array and a function for the step. `@noble/hashes` is the
 * readable twin; `blake2s_test.ts` ties the two.
 */

/** §2.7: in which order the rounds take the words of the message. */
const SIGMA = Uint8Array.of(
  ...[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  ...[14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
  ...[11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
  ...[7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
  ...[9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
  ...[2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
  ...[12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
  ...[13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
  ...[6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
  ...[10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
);

/** §2.6: the first words of SHA-256's. */
export const BLAKE2S_IV = Int32Array.of(
  0x6a09e667,
  0xbb67ae85,
  0x3c6ef372,
  0xa54ff53a,
  0x510e527f,
  0x9b05688c,
  0x1f83d9ab,
  0x5be0cd19,
);

/** Takes the sixteen words of a block into the state. `total` is the bytes so far, this block's included. */
export function compress(state: Int32Array, block: Int32Array, total: number, isLast: boolean): void {
  const iv = BLAKE2S_IV;
  let v0 = state[0]!;
  let v1 = state[1]!;
  let v2 = state[2]!;
  let v3 = state[3]!;
  let v4 = state[4]!;
  let v5 = state[5]!;
  let v6 = state[6]!;
  let v7 = state[7]!;
  let v8 = iv[0]!;
  let v9 = iv[1]!;
  let v10 = iv[2]!;
  let v11 = iv[3]!;
  let v12 = iv[4]! ^ total;
  let v13 = iv[5]! ^ (total / 2 ** 32);
  let v14 = isLast ? ~iv[6]! : iv[6]!;
  let v15 = iv[7]!;
  for (let at = 0; at < SIGMA.length; at += 16) {
    v0 = (v0 + v4 + block[SIGMA[at]!]!) | 0;
    v12 = rotateRight(v12 ^ v0, 16);
    v8 = (v8 + v12) | 0;
    v4 = rotateRight(v4 ^ v8, 12);
    v0 = (v0 + v4 + block[SIGMA[at + 1]!]!) | 0;
    v12 = rotateRight(v12 ^ v0, 8);
    v8 = (v8 + v12) | 0;
    v4 = rotateRight(v4 ^ v8, 7);
    v1 = (v1 + v5 + block[SIGMA[at + 2]!]!) | 0;
    v13 = rotateRight(v13 ^ v1, 16);
    v9 = (v9 + v13) | 0;
    v5 = rotateRight(v5 ^ v9, 12);
    v1 = (v1 + v5 + block[SIGMA[at + 3]!]!) | 0;
    v13 = rotateRight(v13 ^ v1, 8);
    v9 = (v9 + v13) | 0;
    v5 = rotateRight(v5 ^ v9, 7);
    v2 = (v2 + v6 + block[SIGMA[at + 4]!]!) | 0;
    v14 = rotateRight(v14 ^ v2, 16);
    v10 = (v10 + v14) | 0;
    v6 = rotateRight(v6 ^ v10, 12);
    v2 = (v2 + v6 + block[SIGMA[at + 5]!]!) | 0;
    v14 = rotateRight(v14 ^ v2, 8);
    v10 = (v10 + v14) | 0;
    v6 = rotateRight(v6 ^ v10, 7);
    v3 = (v3 + v7 + block[SIGMA[at + 6]!]!) | 0;
    v15 = rotateRight(v15 ^ v3, 16);
    v11 = (v11 + v15) | 0;
    v7 = rotateRight(v7 ^ v11, 12);
    v3 = (v3 + v7 + block[SIGMA[at + 7]!]!) | 0;
    v15 = rotateRight(v15 ^ v3, 8);
    v11 = (v11 + v15) | 0;
    v7 = rotateRight(v7 ^ v11, 7);
    v0 = (v0 + v5 + block[SIGMA[at + 8]!]!) | 0;
    v15 = rotateRight(v15 ^ v0, 16);
    v10 = (v10 + v15) | 0;
    v5 = rotateRight(v5 ^ v10, 12);
    v0 = (v0 + v5 + block[SIGMA[at + 9]!]!) | 0;
    v15 = rotateRight(v15 ^ v0, 8);
    v10 = (v10 + v15) | 0;
    v5 = rotateRight(v5 ^ v10, 7);
    v1 = (v1 + v6 + block[SIGMA[at + 10]!]!) | 0;
    v12 = rotateRight(v12 ^ v1, 16);
    v11 = (v11 + v12) | 0;
    v6 = rotateRight(v6 ^ v11, 12);
    v1 = (v1 + v6 + block[SIGMA[at + 11]!]!) | 0;
    v12 = rotateRight(v12 ^ v1, 8);
    v11 = (v11 + v12) | 0;
    v6 = rotateRight(v6 ^ v11, 7);
    v2 = (v2 + v7 + block[SIGMA[at + 12]!]!) | 0;
    v13 = rotateRight(v13 ^ v2, 16);
    v8 = (v8 + v13) | 0;
    v7 = rotateRight(v7 ^ v8, 12);
    v2 = (v2 + v7 + block[SIGMA[at + 13]!]!) | 0;
    v13 = rotateRight(v13 ^ v2, 8);
    v8 = (v8 + v13) | 0;
    v7 = rotateRight(v7 ^ v8, 7);
    v3 = (v3 + v4 + block[SIGMA[at + 14]!]!) | 0;
    v14 = rotateRight(v14 ^ v3, 16);
    v9 = (v9 + v14) | 0;
    v4 = rotateRight(v4 ^ v9, 12);
    v3 = (v3 + v4 + block[SIGMA[at + 15]!]!) | 0;
    v14 = rotateRight(v14 ^ v3, 8);
    v9 = (v9 + v14) | 0;
    v4 = rotateRight(v4 ^ v9, 7);
  }
  state[0]! ^= v0 ^ v8;
  state[1]! ^= v1 ^ v9;
  state[2]! ^= v2 ^ v10;
  state[3]! ^= v3 ^ v11;
  state[4]! ^= v4 ^ v12;
  state[5]! ^= v5 ^ v13;
  state[6]! ^= v6 ^ v14;
  state[7]! ^= v7 ^ v15;
}

function rotateRight(word: number, bits: number): number {
  return (word >>> bits) | (word << (32 - bits));
}
