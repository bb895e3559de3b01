import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { anyBytes, mutationsOf } from "../../testing/fuzz.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { generateSecrets, Identity } from "../identity.ts";
import type { Parsed } from "../parse.ts";
import { portablePrimitives } from "../primitives.ts";
import { makeCard } from "./card.ts";
import {
  encodeCall,
  encodeKnock,
  encodeKnockAnswer,
  type Knock,
  type KnockAnswer,
  parseFirstWords,
  parseKnockAnswer,
  peerPrologue,
  speakerOf,
  turnedAwaySchema,
} from "./knock.ts";

const random = new SeededRandom(11);
const guest = new Identity(generateSecrets(random), portablePrimitives);
const stranger = new Identity(generateSecrets(random), portablePrimitives);
const SECRET = "AAAAAAAAAAAAAAAAAAAAAA";
const CALL_BACK = { token: "BBBBBBBBBBBBBBBBBBBBBA", addresses: ["192.0.2.1:4100", "[2001:db8::1]:4100"] };

function valueOf<T>(parsed: Parsed<T>): T {
  assert(parsed.status === "done", JSON.stringify(parsed));
  return parsed.value;
}

function knockOf(bytes: Uint8Array): Knock {
  const words = valueOf(parseFirstWords(bytes));
  assert("knock" in words);
  return words.knock;
}

Deno.test("a knock says whose sealing key it is, with an invitation or without", () => {
  for (const invitation of [undefined, SECRET]) {
    const knock = knockOf(encodeKnock(guest, { invitation, callBack: CALL_BACK }));
    assertEquals(speakerOf(knock, guest.wireguardPublicKey, portablePrimitives), guest.peerId);
    assertEquals([knock.invitation, knock.callBack], [invitation, CALL_BACK]);
  }
});

Deno.test("a call says whose it is, and to which knock", () => {
  const words = valueOf(parseFirstWords(encodeCall(stranger, SECRET)));
  assert("call" in words && words.call.token === SECRET);
  assertEquals(speakerOf(words.call, stranger.wireguardPublicKey, portablePrimitives), stranger.peerId);
});

Deno.test("a knock under another's seal, or with another's words, is nobody's", () => {
  const knock = knockOf(encodeKnock(guest));
  const other = knockOf(encodeKnock(stranger));
  const table: [what: string, knock: typeof knock, key: Uint8Array][] = [
    ["passed on by another", knock, stranger.wireguardPublicKey],
    ["another's public key", { ...knock, publicKey: other.publicKey }, guest.wireguardPublicKey],
    ["another's signature", { ...knock, sealingKeySignature: other.sealingKeySignature }, guest.wireguardPublicKey],
    ["a key of another length", knock, new Uint8Array(31)],
  ];
  for (const [what, each, key] of table) assertEquals(speakerOf(each, key, portablePrimitives), undefined, what);
});

Deno.test("answers are read as they were written", () => {
  const card = makeCard(stranger, {
    ...{ label: "Grace", addresses: ["192.0.2.1:4100"], relays: [], capabilities: ["files"], issuedAtMs: 1 },
  });
  const answers: KnockAnswer[] = [
    { ok: true, welcome: { scope: "", mayUpload: false } },
    { ok: true, welcome: { scope: "holidays/Zürich", mayUpload: true, card } },
    ...turnedAwaySchema.options.map((reason) => ({ ok: false as const, reason })),
  ];
  for (const answer of answers) assertEquals(valueOf(parseKnockAnswer(encodeKnockAnswer(answer))), answer);
});

Deno.test("no bytes make reading a knock or an answer throw, or read past their end", () => {
  const knock = encodeKnock(guest, { invitation: SECRET, callBack: CALL_BACK });
  const call = encodeCall(guest, SECRET);
  const answer = encodeKnockAnswer({ ok: true, welcome: { scope: "a", mayUpload: true } });
  const any = fc.oneof(anyBytes(), mutationsOf(fc.constantFrom(knock, call, answer)));
  fc.assert(fc.property(any, (bytes) => {
    for (const parsed of [parseFirstWords(bytes), parseKnockAnswer(bytes)]) {
      if (parsed.status === "done") assert(parsed.length <= bytes.length);
    }
  }));
});

Deno.test("a knock that is cut short wants more, one that is too long is none", () => {
  const knock = encodeKnock(guest);
  for (let length = 0; length < knock.length; length++) {
    assertEquals(parseFirstWords(knock.subarray(0, length)).status, "more");
  }
  assertEquals(parseFirstWords(Uint8Array.of(1, 1, 0xff, 0xff)).status, "bad");
});

Deno.test("what is meant for one peer begins otherwise than what is meant for another", () => {
  assert(peerPrologue(guest.peerId).join() !== peerPrologue(stranger.peerId).join());
});
