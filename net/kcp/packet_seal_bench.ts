/** One full packet through each seal: `deno bench -A net/kcp/packet_seal_bench.ts`. */

import { cryptNames } from "../../protocol/packet_layer/crypt.ts";
import { randomOf } from "../../protocol/random.ts";
import { Slab } from "../../protocol/slab.ts";
import { openPacketSeal } from "./packet_seal.ts";

const random = randomOf(crypto);
const key = random.fill(new Uint8Array(32));

for (const crypt of cryptNames) {
  const seal = await openPacketSeal({ crypt, key, random });
  const slab = new Slab(64 * 1024);
  const slots = 40;
  let slot = 0;
  Deno.bench(`${crypt} seals 1350 bytes`, { group: "seal" }, () => {
    slot = (slot + 1) % slots;
    seal.seal(slab, slot * 1352, slot * 1352 + 1350);
  });
  const sealed = new Slab(1352);
  seal.seal(sealed, 0, 1350);
  Deno.bench(`${crypt} opens 1350 bytes (and copies them)`, { group: "open" }, () => {
    slab.bytes.set(sealed.bytes);
    if (!seal.open(slab, 0, 1350)) throw new Error("not genuine");
  });
}
