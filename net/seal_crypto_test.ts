import { assertEquals } from "@std/assert";
import { randomOf } from "../protocol/random.ts";
import { sessionPrologue } from "../protocol/sealed_handshake.ts";
import { readFull, writeAll } from "../protocol/stream.ts";
import { clockOf } from "../protocol/clock.ts";
import { drawKeyPair } from "../protocol/noise_ik.ts";
import { hostCrypto } from "./host_aead.ts";
import { memoryStreamPair } from "./memory.ts";
import { openSealCrypto } from "./seal_crypto.ts";
import { sealStream } from "./sealed_stream.ts";
import { SlabPool } from "./slab_pool.ts";

Deno.test("whatever cryptography a host has, its streams are those of any other", async () => {
  using fastest = await openSealCrypto();
  const random = randomOf(crypto);
  const parts = { random, clock: clockOf(globalThis), slabs: new SlabPool(), prologue: sessionPrologue("s") };
  const [near, far] = [drawKeyPair(fastest, random), drawKeyPair(fastest, random)];
  const [a, b] = memoryStreamPair();
  const [client, exit] = await Promise.all([
    sealStream(a, { ...parts, crypto: fastest, role: "initiator", local: near, remote: far.publicKey }),
    sealStream(b, { ...parts, crypto: hostCrypto(), role: "responder", local: far, accept: () => true }),
  ]);
  const text = random.fill(new Uint8Array(300_000));
  const [there, back] = [new Uint8Array(text.length), new Uint8Array(text.length)];
  await Promise.all([writeAll(client, text), readFull(exit, there), writeAll(exit, text), readFull(client, back)]);
  assertEquals(there, text);
  assertEquals(back, text);
  client.close();
  exit.close();
  assertEquals(await client.read(there).catch(() => "closed"), "closed");
});

Deno.test({
  name: "without FFI there is node:crypto, and the reason is told",
  permissions: { ffi: false, read: true },
  async fn() {
    const reasons: string[] = [];
    using crypto = await openSealCrypto({ explain: (reason) => reasons.push(reason) });
    assertEquals(reasons.length, 1);
    assertEquals(crypto.x25519PublicKey(new Uint8Array(32)).length, 32);
  },
});
