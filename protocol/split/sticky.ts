/**
 * The same side for the same key, by nothing but the key: weighted rendezvous hashing. Each side has a score for the key, the
 * best wins. Sides get keys by their weights, and of a side that is new or gone only its own keys move.
 *
 *   score = −ln(hash of key and side as a number in (0, 1)) ÷ weight        the least wins
 */

export interface StickySide {
  readonly name: string;
  readonly weight: number;
}

/** The index of the side that has the key. */
export function stickySide(key: string, sides: readonly StickySide[]): number {
  let best = 0;
  let least = Infinity;
  for (const [at, { name, weight }] of sides.entries()) {
    const score = -Math.log((hashOf(`${key}\0${name}`) + 0.5) / 2 ** 32) / weight;
    if (score >= least) continue;
    least = score;
    best = at;
  }
  return best;
}

/** FNV-1a over the text's units, and MurmurHash3's finish, without which like keys have like scores. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ hash >>> 16, 0x85ebca6b);
  hash = Math.imul(hash ^ hash >>> 13, 0xc2b2ae35);
  return (hash ^ hash >>> 16) >>> 0;
}
