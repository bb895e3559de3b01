import { assertEquals, assertNotEquals } from "@std/assert";
import { encodeHex } from "@std/encoding/hex";
import { encodeBase32 } from "../encoding.ts";
import { portablePrimitives } from "../primitives.ts";
import { downAlias, downClaim, peerIdBytes, upAlias } from "./aliases.ts";

const SECRET = Uint8Array.from({ length: 32 }, (_, at) => at);
const RELAY = encodeBase32(new Uint8Array(16).fill(0x11));
const OTHER = encodeBase32(new Uint8Array(16).fill(0x12));

// Our own, made with Python's hashlib.
Deno.test("the names of a session are those of its vectors", async () => {
  const hash = async (domain: string, ...parts: Uint8Array[]) => {
    const bytes = [...new TextEncoder().encode(domain), ...parts.flatMap((part) => [...part])];
    return new Uint8Array(await crypto.subtle.digest("SHA-256", Uint8Array.from(bytes)));
  };
  const relay = new TextEncoder().encode(RELAY);
  const claim = await hash("culvert down v1", SECRET, relay);
  assertEquals(upAlias(SECRET, RELAY, portablePrimitives), (await hash("culvert up v1", SECRET, relay)).slice(0, 16));
  assertEquals(downClaim(SECRET, RELAY, portablePrimitives), claim);
  assertEquals(downAlias(claim, portablePrimitives), (await hash("culvert alias v1", claim)).slice(0, 16));
  assertEquals(encodeHex(upAlias(SECRET, RELAY, portablePrimitives)), "32c2438ab0d7f38344330b336517909f");
  assertEquals(encodeHex(claim), "5cbd06a36340d76993253f9a592f997678ddb2c581c9fef83ef710fdbd6852d0");
});

Deno.test("no name at one relay is a name at another, or in the other direction", () => {
  const names = [RELAY, OTHER].flatMap((relay) => {
    const claim = downClaim(SECRET, relay, portablePrimitives);
    return [upAlias(SECRET, relay, portablePrimitives), claim.slice(0, 16), downAlias(claim, portablePrimitives)];
  });
  assertEquals(new Set(names.map((name) => encodeHex(name))).size, names.length);
  const otherSecret = SECRET.slice().fill(0, 31);
  assertNotEquals(upAlias(otherSecret, RELAY, portablePrimitives), upAlias(SECRET, RELAY, portablePrimitives));
});

Deno.test("a peer id has 16 raw bytes, and other texts none", () => {
  assertEquals(peerIdBytes(RELAY), new Uint8Array(16).fill(0x11));
  for (const text of ["", RELAY.slice(1), RELAY + "a", RELAY.toUpperCase(), "b".repeat(26)]) {
    assertEquals(peerIdBytes(text), undefined, text);
  }
});
