/**
 * The two macs at the end of initiations and responses, and the cookies behind the second. Whitepaper §5.3, §5.4.4,
 * §5.4.7.
 *
 *   mac1: made with the receiver's public key, so that a stranger who only sees a port open gets no answer at all
 *   mac2: made with a cookie, which the receiver hands out when it is under load and which only reaches whoever really
 *         has the address it sends from
 *
 * `MacChecker` is the receiving side, one per device; `MacStamper` the sending side, one per peer. Checking a mac makes
 * no garbage; handing out a cookie makes a little.
 */

import { Blake2s, BLAKE2S_BYTES } from "../blake2s.ts";
import type { Bytes } from "../primitives.ts";
import { COOKIE_REPLY_BYTES, COOKIE_REPLY_TYPE, COOKIE_SECRET_TIME_MS, TAG_BYTES } from "./constants.ts";
import { LONG_NONCE_BYTES, longNonceLock, type WireGuardCrypto } from "./crypto.ts";
import type { HandshakeTools } from "./handshake.ts";
import { equalMac, labelledKey, Mac1Checker, mac1Key } from "./mac1.ts";
import { COOKIE_REPLY, INITIATION, MAC_BYTES, MACS_BYTES } from "./messages.ts";
import type { Endpoint, Key } from "./settings.ts";

const COOKIE_LABEL = "cookie--";
const COOKIE_BYTES = 16;
/** A cookie is let go a little before its maker forgets the secret, because it was made before it came here. */
const COOKIE_LATENCY_MS = 5_000;

/** A handshake message and the time it is looked at; messages of the queue are longer buffers that are used again. */
export interface Received {
  readonly packet: Bytes;
  /** The length of the message in it. */
  readonly length: number;
  readonly from: Endpoint;
  readonly nowMs: number;
}

/** What a device checks the macs of others with. Disposing wipes its secret. */
export class MacChecker implements Disposable {
  readonly #tools: HandshakeTools;
  readonly #hasher = new Blake2s();
  readonly #mac1 = new Mac1Checker();
  readonly #mac1Key: Bytes;
  readonly #cookieKey: Bytes;
  readonly #secret = new Uint8Array(BLAKE2S_BYTES);
  #secretMadeMs = -Infinity;
  readonly #cookie = new Uint8Array(COOKIE_BYTES);
  readonly #mac = new Uint8Array(MAC_BYTES);
  readonly #port = new Uint8Array(2);

  /** `publicKey` is the device's own. */
  constructor(tools: HandshakeTools, publicKey: Key) {
    this.#tools = tools;
    this.#mac1Key = mac1Key(publicKey);
    this.#cookieKey = labelledKey(COOKIE_LABEL, publicKey);
  }

  /** Whether the sender of an initiation or response knows our public key. */
  hasMac1(packet: Bytes, length: number): boolean {
    return this.#mac1.fits(this.#mac1Key, packet, 0, length);
  }

  /** Whether the sender has a cookie of ours for the address it sends from. */
  hasMac2({ packet, length, from, nowMs }: Received): boolean {
    if (nowMs - this.#secretMadeMs >= COOKIE_SECRET_TIME_MS) return false;
    this.#bakeCookie(from);
    const at = length - MAC_BYTES;
    this.#hasher.start(MAC_BYTES, this.#cookie).update(packet, 0, at).finish(this.#mac);
    return equalMac(this.#mac, packet, at);
  }

  /** A cookie for the sender of a message whose mac1 was right. */
  cookieReply({ packet, length, from, nowMs }: Received): Bytes {
    const { crypto: suite, random } = this.#tools;
    if (nowMs - this.#secretMadeMs >= COOKIE_SECRET_TIME_MS) {
      random.fill(this.#secret);
      this.#secretMadeMs = nowMs;
    }
    this.#bakeCookie(from);
    const reply = new Uint8Array(COOKIE_REPLY_BYTES);
    reply[0] = COOKIE_REPLY_TYPE;
    reply.set(packet.subarray(INITIATION.sender, INITIATION.sender + 4), COOKIE_REPLY.receiver);
    const nonce = random.fill(reply.subarray(COOKIE_REPLY.nonce, COOKIE_REPLY.nonce + LONG_NONCE_BYTES));
    const mac1 = packet.subarray(length - MACS_BYTES, length - MAC_BYTES);
    const lock = longNonceLock({ key: this.#cookieKey, nonce, associated: mac1 });
    reply.set(suite.seal(lock, this.#cookie), COOKIE_REPLY.cookie);
    return reply;
  }

  [Symbol.dispose](): void {
    this.#hasher[Symbol.dispose]();
    this.#mac1[Symbol.dispose]();
    this.#secret.fill(0);
    this.#cookie.fill(0);
    this.#secretMadeMs = -Infinity;
  }

  /** The cookie of an address and port under the present secret. */
  #bakeCookie({ address, port }: Endpoint): void {
    this.#port[0] = port >> 8;
    this.#port[1] = port;
    this.#hasher.start(COOKIE_BYTES, this.#secret).update(address).update(this.#port).finish(this.#cookie);
  }
}

/**
 * What a peer's handshake messages get their macs from. A peer that is only configured costs a few words: keys are made
 * with the first message. Disposing wipes the cookie.
 */
export class MacStamper implements Disposable {
  readonly #crypto: WireGuardCrypto;
  readonly #publicKey: Key;
  #mac1Key: Bytes | undefined;
  /** mac1 of the last message that has had no cookie reply yet. */
  #sentMac1: Bytes | undefined;
  #cookie: Bytes | undefined;
  #cookieCameMs = 0;

  /** `publicKey` is the peer's. */
  constructor(suite: WireGuardCrypto, publicKey: Key) {
    this.#crypto = suite;
    this.#publicKey = publicKey;
  }

  /** Writes both macs of an initiation or response, which fills `packet`; mac2 is zero without a cookie. */
  stamp(packet: Bytes, nowMs: number): void {
    const hasher = new Blake2s();
    const at1 = packet.length - MACS_BYTES;
    const at2 = packet.length - MAC_BYTES;
    this.#mac1Key ??= mac1Key(this.#publicKey);
    hasher.start(MAC_BYTES, this.#mac1Key).update(packet, 0, at1).finish(packet, at1);
    this.#sentMac1 = new Uint8Array(packet.subarray(at1, at2));
    packet.fill(0, at2);
    if (!this.#cookie) return;
    if (nowMs - this.#cookieCameMs >= COOKIE_SECRET_TIME_MS - COOKIE_LATENCY_MS) this.#forgetCookie();
    else hasher.start(MAC_BYTES, this.#cookie).update(packet, 0, at2).finish(packet, at2);
  }

  /** Takes the cookie out of a reply to the last message; false when it is not one. One reply per message. */
  takeReply(reply: Bytes, nowMs: number): boolean {
    if (!this.#sentMac1 || reply.length !== COOKIE_REPLY_BYTES) return false;
    const cookie = this.#crypto.open(
      longNonceLock({
        key: labelledKey(COOKIE_LABEL, this.#publicKey),
        nonce: reply.subarray(COOKIE_REPLY.nonce, COOKIE_REPLY.nonce + LONG_NONCE_BYTES),
        associated: this.#sentMac1,
      }),
      reply.subarray(COOKIE_REPLY.cookie, COOKIE_REPLY.cookie + COOKIE_BYTES + TAG_BYTES),
    );
    if (!cookie) return false;
    this.#forgetCookie();
    this.#cookie = cookie;
    this.#cookieCameMs = nowMs;
    this.#sentMac1 = undefined;
    return true;
  }

  [Symbol.dispose](): void {
    this.#forgetCookie();
    this.#sentMac1 = undefined;
  }

  #forgetCookie(): void {
    this.#cookie?.fill(0);
    this.#cookie = undefined;
  }
}
