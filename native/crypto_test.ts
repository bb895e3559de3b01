import { assert, assertEquals, assertThrows } from "@std/assert";
import { CulvertError } from "../protocol/errors.ts";
import { Slab } from "../protocol/slab.ts";
import { testWireGuardCrypto } from "../protocol/wireguard/fixtures/crypto_contract.ts";
import { type LibcryptoOptions, type NativeCrypto, openLibcrypto } from "./crypto.ts";

function open(options: LibcryptoOptions = {}): NativeCrypto {
  const explain = (reason: string) => {
    throw new Error(`this machine has no libcrypto: ${reason}`);
  };
  return openLibcrypto({ explain, ...options })!;
}

testWireGuardCrypto("libcrypto", () => open());
testWireGuardCrypto("libcrypto by the calls of OpenSSL 1.1", () => open({ onlyOldCalls: true }));

Deno.test("where no libcrypto loads there is none, and a reason", () => {
  let reason = "";
  const names = ["libcrypto-that-is-not-there.so"];
  assertEquals(openLibcrypto({ names, explain: (text) => reason = text }), undefined);
  assert(reason.includes("libcrypto-that-is-not-there.so"), reason);
  assertEquals(openLibcrypto({ names }), undefined);
});

Deno.test("a library that is not libcrypto is refused", () => {
  assertEquals(openLibcrypto({ names: ["libc.so.6"] }), undefined);
});

Deno.test("once libcrypto is closed nothing of it can be used", () => {
  const native = open();
  const aead = native.aead(new Uint8Array(32));
  native[Symbol.dispose]();
  native[Symbol.dispose]();
  assertThrows(() => aead.seal(new Slab(64), 0, 16, 0), TypeError);
  aead[Symbol.dispose]();
  const lock = { key: new Uint8Array(32), nonce: new Uint8Array(12), associated: new Uint8Array(0) };
  assertThrows(() => native.aead(new Uint8Array(32)), CulvertError);
  assertThrows(() => native.seal(lock, new Uint8Array(4)), CulvertError);
  assertThrows(() => native.open(lock, new Uint8Array(20)), CulvertError);
  assertThrows(() => native.x25519(new Uint8Array(32), new Uint8Array(32).fill(9)), CulvertError);
});

Deno.test("two slabs used in turn get each its own tag", () => {
  using native = open();
  using aead = native.aead(new Uint8Array(32).fill(3));
  const slabs = [new Slab(96), new Slab(128)];
  for (let counter = 0; counter < 8; counter++) aead.seal(slabs[counter % 2]!, 16 * (counter >> 1), 0, counter);
  for (let counter = 0; counter < 8; counter++) {
    assert(aead.open(slabs[counter % 2]!, 16 * (counter >> 1), 16, counter), `counter ${counter}`);
  }
});
