import { assertRejects } from "@std/assert";
import { openPacketCiphers } from "../../native/packet_cipher.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { cryptKey } from "../../protocol/packet_layer/crypt.ts";
import { Nonces } from "../../protocol/packet_layer/nonces.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { testSealContract } from "./fixtures/seal_contract.ts";
import { openPacketSeal } from "./packet_seal.ts";

testSealContract("fastest", openPacketSeal);
testSealContract("portable", (options) => openPacketSeal({ ...options, isPortable: true }));
testSealContract("OpenSSL 1.1's calls", async (options) => {
  if (options.crypt !== "aes-128-gcm") return await openPacketSeal(options);
  const ciphers = openPacketCiphers({ onlyOldCalls: true })!;
  const seal = ciphers.gcm(cryptKey(options.crypt, options.key), new Nonces(options.random));
  return {
    headBytes: seal.headBytes,
    tailBytes: seal.tailBytes,
    seal: seal.seal.bind(seal),
    open: seal.open.bind(seal),
    [Symbol.dispose]() {
      seal[Symbol.dispose]();
      ciphers[Symbol.dispose]();
    },
  };
});

Deno.test("A key that was not derived is refused", async () => {
  const key = new Uint8Array(16);
  await assertRejects(
    () => openPacketSeal({ crypt: "aes", key, random: new SeededRandom(1) }),
    CulvertError,
    "the derived key must be 32 bytes, got 16",
  );
});
