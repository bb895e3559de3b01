/**
 * Cryptokey routing (whitepaper §2): which peer an inner address belongs to, by the longest of the prefixes that hold it.
 *
 * A binary trie per address family in which a node stands for a whole prefix, so that its depth is the number of
 * prefixes within each other and not of bits. Nodes without an owner are forks, where two prefixes part; a fork always
 * has two children. An address is four 32-bit words, of which IPv4 uses the first: numbers in the node, because a node
 * is made per route and a view of bytes would weigh more than all the rest of it. The routes of one owner form a ring
 * through their nodes, oldest first.
 */

import { type Cidr, networkOf } from "../ip.ts";

export class AllowedIps<P extends object> {
  #v4: Node<P> | undefined;
  #v6: Node<P> | undefined;
  /** Each owner's oldest route. */
  readonly #routes = new Map<P, Node<P>>();

  /** Gives a prefix to a peer; whoever had it has it no more. */
  insert(cidr: Cidr, peer: P): void {
    const node = this.#nodeFor(keyOf<P>(cidr));
    if (node.owner === peer) return;
    if (node.owner) this.#disown(node);
    this.#own(node, peer);
  }

  /** Takes a prefix from a peer, if it is its own. */
  remove(cidr: Cidr, peer: P): void {
    const key = keyOf<P>(cidr);
    let node = this.#root(key.isV4);
    while (node && node.bits < key.bits) node = childTowards(node, key);
    if (!node || node.bits !== key.bits || sharedBits(node, key) < key.bits || node.owner !== peer) return;
    this.#disown(node);
    this.#prune(node);
  }

  removePeer(peer: P): void {
    for (let node = this.#routes.get(peer); node; node = this.#routes.get(peer)) {
      this.#disown(node);
      this.#prune(node);
    }
  }

  /** The owner of the address of `length` bytes (4 or 16) at `offset`. Allocates nothing. */
  lookup(bytes: Uint8Array, offset: number, length: 4 | 16): P | undefined {
    const w0 = wordAt(bytes, offset);
    if (length === 4) return longest(this.#v4, w0, 0, 0, 0);
    const w1 = wordAt(bytes, offset + 4);
    const w2 = wordAt(bytes, offset + 8);
    return longest(this.#v6, w0, w1, w2, wordAt(bytes, offset + 12));
  }

  /** A peer's prefixes in the order it got them. Not to be changed meanwhile. */
  *of(peer: P): Generator<Cidr> {
    const first = this.#routes.get(peer);
    if (!first) return;
    let node = first;
    do {
      yield cidrOf(node);
      node = node.next;
    } while (node !== first);
  }

  #root(isV4: boolean): Node<P> | undefined {
    return isV4 ? this.#v4 : this.#v6;
  }

  /** Puts `node` where `old` is, or at the root when nothing is above it. */
  #place(node: Node<P> | undefined, above: Node<P> | undefined, old: Node<P>): void {
    if (node) node.parent = above;
    if (!above) {
      if (old.isV4) this.#v4 = node;
      else this.#v6 = node;
    } else if (bitAt(above.bits, old.w0, old.w1, old.w2, old.w3)) above.one = node;
    else above.zero = node;
  }

  /** The node of a prefix, made if there is none: `key` itself then becomes it. */
  #nodeFor(key: Node<P>): Node<P> {
    let above: Node<P> | undefined;
    let node = this.#root(key.isV4);
    while (node) {
      const shared = sharedBits(node, key);
      if (shared < node.bits) return this.#putAbove(node, key, Math.min(shared, key.bits));
      if (node.bits === key.bits) return node;
      if (key.bits < node.bits) return this.#putAbove(node, key, key.bits);
      above = node;
      node = childTowards(node, key);
    }
    this.#place(key, above, key);
    return key;
  }

  /** Puts `key` above a node that it holds, or beside it under a new fork of `shared` bits. */
  #putAbove(node: Node<P>, key: Node<P>, shared: number): Node<P> {
    const top = shared === key.bits ? key : new Node<P>(key.isV4, key.w0, key.w1, key.w2, key.w3, shared);
    this.#place(top, node.parent, node);
    this.#place(node, top, node);
    if (top !== key) this.#place(key, top, key);
    return key;
  }

  /** Takes out what no longer has a reason: a node without an owner that is not a fork, then the fork above it. */
  #prune(node: Node<P> | undefined): void {
    while (node && !node.owner && !(node.zero && node.one)) {
      const above: Node<P> | undefined = node.parent;
      this.#place(node.zero ?? node.one, above, node);
      node = above;
    }
  }

  #own(node: Node<P>, peer: P): void {
    node.owner = peer;
    const oldest = this.#routes.get(peer);
    if (!oldest) {
      this.#routes.set(peer, node);
      return;
    }
    node.next = oldest;
    node.previous = oldest.previous;
    oldest.previous.next = node;
    oldest.previous = node;
  }

  #disown(node: Node<P>): void {
    const peer = node.owner!;
    if (node.next === node) this.#routes.delete(peer);
    else if (this.#routes.get(peer) === node) this.#routes.set(peer, node.next);
    node.previous.next = node.next;
    node.next.previous = node.previous;
    node.next = node.previous = node;
    node.owner = undefined;
  }
}

class Node<P> {
  owner: P | undefined = undefined;
  parent: Node<P> | undefined = undefined;
  zero: Node<P> | undefined = undefined;
  one: Node<P> | undefined = undefined;
  /** The ring of its owner's routes. */
  next: Node<P> = this;
  previous: Node<P> = this;

  constructor(
    readonly isV4: boolean,
    readonly w0: number,
    readonly w1: number,
    readonly w2: number,
    readonly w3: number,
    readonly bits: number,
  ) {}
}

function longest<P>(root: Node<P> | undefined, w0: number, w1: number, w2: number, w3: number): P | undefined {
  let found: P | undefined;
  for (let node = root; node && commonBits(node, w0, w1, w2, w3) >= node.bits;) {
    found = node.owner ?? found;
    node = bitAt(node.bits, w0, w1, w2, w3) ? node.one : node.zero;
  }
  return found;
}

function childTowards<P>(node: Node<P>, key: Node<P>): Node<P> | undefined {
  return bitAt(node.bits, key.w0, key.w1, key.w2, key.w3) ? node.one : node.zero;
}

function sharedBits<P>(node: Node<P>, other: Node<P>): number {
  return commonBits(node, other.w0, other.w1, other.w2, other.w3);
}

/** How many leading bits a node's address shares with four words. */
function commonBits<P>(node: Node<P>, w0: number, w1: number, w2: number, w3: number): number {
  if (node.w0 !== w0) return Math.clz32(node.w0 ^ w0);
  if (node.w1 !== w1) return 32 + Math.clz32(node.w1 ^ w1);
  if (node.w2 !== w2) return 64 + Math.clz32(node.w2 ^ w2);
  return 96 + Math.clz32(node.w3 ^ w3);
}

/** The bit at a place, 0 the highest. A place past the end names a bit nobody asks for: such nodes have no children. */
function bitAt(place: number, w0: number, w1: number, w2: number, w3: number): number {
  const word = place < 32 ? w0 : place < 64 ? w1 : place < 96 ? w2 : w3;
  return (word >>> (31 - (place & 31))) & 1;
}

/** Signed, so that V8 keeps it in the node instead of beside it. */
function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

function keyOf<P>({ address, bits }: Cidr): Node<P> {
  return address.length === 4
    ? new Node<P>(true, wordAt(address, 0), 0, 0, 0, bits)
    : new Node<P>(false, wordAt(address, 0), wordAt(address, 4), wordAt(address, 8), wordAt(address, 12), bits);
}

/** Behind the prefix of a node that was a fork first lie the bits of a route below it. */
function cidrOf<P>(node: Node<P>): Cidr {
  const address = new Uint8Array(node.isV4 ? 4 : 16);
  const view = new DataView(address.buffer);
  view.setInt32(0, node.w0);
  if (!node.isV4) {
    view.setInt32(4, node.w1);
    view.setInt32(8, node.w2);
    view.setInt32(12, node.w3);
  }
  return networkOf(address, node.bits)!;
}
