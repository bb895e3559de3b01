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

Deno.test("a Worker has libcrypto of its own, while this thread uses its own too", async () => {
  using native = open();
  const key = new Uint8Array(32).fill(9);
  using aead = native.aead(key);
  const worker = new Worker(new URL("./fixtures/crypto_worker.ts", import.meta.url), { type: "module" });
  try {
    const answer = Promise.withResolvers<{ sealed: Uint8Array<ArrayBuffer>; publicKey: Uint8Array }>();
    worker.onmessage = ({ data }) => answer.resolve(data);
    worker.onerror = (event) => answer.reject(event.error ?? new Error(event.message));
    worker.postMessage(key);
    const { sealed, publicKey } = await answer.promise;
    const slab = new Slab(1440);
    slab.bytes.set(sealed);
    assert(aead.open(slab, 0, 1440, 1));
    assertEquals(publicKey, native.x25519PublicKey(key));
  } finally {
    worker.terminate();
  }
});

Deno.test("ten thousand keys come and go without memory being kept", () => {
  using native = open();
  const key = new Uint8Array(32).fill(1);
  const slab = new Slab(64);
  const residentKb = () => Number(/VmRSS:\s+(\d+)/.exec(Deno.readTextFileSync("/proc/self/status"))![1]);
  const comeAndGo = () => {
    for (let count = 0; count < 10_000; count++) {
      using aead = native.aead(key);
      aead.seal(slab, 0, 16, count);
    }
  };
  comeAndGo();
  const before = residentKb();
  comeAndGo();
  comeAndGo();
  // 20,000 contexts that were never freed would be some 40 MB.
  assert(residentKb() - before < 10_000, `${residentKb() - before} kB more`);
});

Deno.test("sealing and opening packets makes no garbage", () => {
  using native = open();
  using aead = native.aead(new Uint8Array(32).fill(1));
  const slab = new Slab(128);
  const sealAndOpen = (times: number) => {
    for (let counter = 0; counter < times; counter++) {
      aead.seal(slab, 16, 64, counter);
      aead.open(slab, 16, 80, counter);
    }
  };
  sealAndOpen(20_000);
  const before = Deno.memoryUsage().heapUsed;
  sealAndOpen(20_000);
  const perPacket = (Deno.memoryUsage().heapUsed - before) / 20_000;
  assert(perPacket < 16, `${perPacket} bytes per packet`);
});
