import { assert, assertEquals, assertLess, assertLessOrEqual, assertNotEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { FakeClock } from "../../testing/fake_clock.ts";
import { assertDecoderSurvives, mutationsOf } from "../../testing/fuzz.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import type { Bytes } from "../primitives.ts";
import { portableWireGuardCrypto } from "../wireguard/crypto.ts";
import { ClientTable } from "./clients.ts";
import { drawSecretText, formatCredential, parseCredential, parseNamedSecret, parseServerKey } from "./credentials.ts";
import { type HelloVerdict, SealedHelloInitiator, SealedHelloResponder, type Welcome } from "./hello.ts";
import { MOST_HELLO_BYTES, MOST_HELLO_PAYLOAD_BYTES } from "./hello_frame.ts";

const purpose = "test";
const FROM = "10.0.0.2";
const text = (words: string) => new TextEncoder().encode(words);

/** A server with one client, called "one", under a clock that stands still. */
class Rig {
  readonly random = new SeededRandom(7);
  readonly clock = new FakeClock();
  agreements = 0;
  readonly crypto = {
    ...portableWireGuardCrypto,
    x25519: (privateKey: Bytes, publicKey: Bytes) => {
      this.agreements++;
      return portableWireGuardCrypto.x25519(privateKey, publicKey);
    },
  };
  readonly tools = { crypto: this.crypto, random: this.random };
  readonly server = parseServerKey(this.crypto, drawSecretText(this.random));
  readonly secret = parseNamedSecret(`one=${drawSecretText(this.random)}`);
  readonly credential = { serverPublicKey: this.server.publicKey, secret: this.secret.secret };
  readonly clients = new ClientTable(this.crypto, this.server, [this.secret]);
  responder = this.newResponder();

  newResponder(options: { tellStrangers?: boolean } = {}): SealedHelloResponder {
    const { server, clients, clock } = this;
    return new SealedHelloResponder(this.tools, { server, clients, clock, purpose, ...options });
  }

  hello(options: Partial<ConstructorParameters<typeof SealedHelloInitiator>[1]> = {}): SealedHelloInitiator {
    const wallMs = this.clock.wallNow();
    return new SealedHelloInitiator(this.tools, {
      credential: this.credential,
      purpose,
      payload: text("hi"),
      wallMs,
      ...options,
    });
  }

  welcome(near: SealedHelloInitiator): Welcome {
    const verdict = this.responder.receive(near.hello, FROM);
    assert(verdict.kind === "welcome", `it was ${JSON.stringify(verdict)}`);
    return verdict;
  }
}

function reasonOf(verdict: HelloVerdict): string {
  return verdict.kind === "welcome" ? verdict.kind : `${verdict.kind}: ${verdict.reason}`;
}

Deno.test("both sides of a hello have said something, and share keys that no other hello gives", () => {
  const rig = new Rig();
  const seen = new Set<string>();
  for (let turn = 0; turn < 5; turn++) {
    using near = rig.hello({ payload: text("near") });
    const welcome = rig.welcome(near);
    assertEquals(welcome.client.name, "one");
    assertEquals(welcome.payload, text("near"));
    const { answer, keys } = welcome.answer(text("far"));
    const read = near.read(answer);
    assert(read?.kind === "welcome");
    assertEquals(read.payload, text("far"));
    assertEquals(read.serverWallMs, rig.clock.wallNow());
    assertEquals(read.keys, { send: keys.receive, receive: keys.send });
    assertNotEquals(keys.send, keys.receive);
    seen.add(keys.send.toHex());
  }
  assertEquals(seen.size, 5);
});

Deno.test("an answer is never longer than its hello, which is made long enough for what is asked", () => {
  const rig = new Rig();
  for (const answerPayloadBytes of [0, 1, 48, 49, 500, MOST_HELLO_PAYLOAD_BYTES]) {
    using near = rig.hello({ answerPayloadBytes });
    const payload = new Uint8Array(answerPayloadBytes).fill(9);
    const { answer } = rig.welcome(near).answer(payload);
    assertLessOrEqual(answer.length, near.hello.length);
    assertLessOrEqual(near.hello.length, MOST_HELLO_BYTES);
    const read = near.read(answer);
    assert(read?.kind === "welcome");
    assertEquals(read.payload, payload);
  }
  assertThrows(() => rig.hello({ payload: new Uint8Array(MOST_HELLO_PAYLOAD_BYTES + 1) }), RangeError);
  using near = rig.hello();
  const welcome = rig.welcome(near);
  assertThrows(() => welcome.answer(new Uint8Array(welcome.answerPayloadBytes + 1)), RangeError);
});

Deno.test("whoever has another server's key is not answered, nor is a hello for another purpose", () => {
  const rig = new Rig();
  const other = parseServerKey(rig.crypto, drawSecretText(rig.random)).publicKey;
  using wrongKey = rig.hello({ credential: { ...rig.credential, serverPublicKey: other } });
  assertEquals(reasonOf(rig.responder.receive(wrongKey.hello, FROM)), "ignored: foreign");
  using wrongPurpose = rig.hello({ purpose: "another" });
  assertEquals(reasonOf(rig.responder.receive(wrongPurpose.hello, FROM)), "ignored: false");
});

Deno.test("a wrong secret is told to whoever knows the server's key, unless strangers are to be told nothing", () => {
  const rig = new Rig();
  const wrong = { ...rig.credential, secret: rig.random.fill(new Uint8Array(32)) };
  using near = rig.hello({ credential: wrong });
  const verdict = rig.responder.receive(near.hello, FROM);
  assert(verdict.kind === "refused");
  assertEquals(verdict.reason, "unauthorized");
  assertLessOrEqual(verdict.answer.length, near.hello.length);
  const read = near.read(verdict.answer);
  assert(read?.kind === "refused");
  assertEquals(read.reason, "unauthorized");
  using again = rig.hello({ credential: wrong });
  assertEquals(reasonOf(rig.newResponder({ tellStrangers: false }).receive(again.hello, FROM)), "ignored: foreign");
});

Deno.test("a client that is revoked is told so, and may be taken again", () => {
  const rig = new Rig();
  const revoked: string[] = [];
  rig.clients.onRevoked = ({ name }) => revoked.push(name);
  assert(rig.clients.revoke("one"));
  assert(!rig.clients.revoke("one"));
  assertEquals(revoked, ["one"]);
  using near = rig.hello();
  assertEquals(reasonOf(rig.responder.receive(near.hello, FROM)), "refused: unauthorized");
  rig.clients.add(rig.secret);
  using again = rig.hello();
  rig.welcome(again);
  assertThrows(() => rig.clients.add({ name: "two", secret: rig.secret.secret }));
  assertThrows(() => rig.clients.add({ name: "one", secret: rig.random.fill(new Uint8Array(32)) }));
});

Deno.test("a server that has no room says so", () => {
  const rig = new Rig();
  using near = rig.hello();
  const read = near.read(rig.welcome(near).refuse());
  assert(read?.kind === "refused");
  assertEquals(read.reason, "busy");
});

Deno.test("a hello that was seen is not answered again, now or when its time has come", () => {
  const rig = new Rig();
  const ahead = 50_000;
  const hellos = [0, ahead, 3_600_000].map((byMs) => rig.hello({ wallMs: rig.clock.wallNow() + byMs }).hello);
  assertEquals(hellos.map((hello) => reasonOf(rig.responder.receive(hello, FROM))), [
    "welcome",
    "welcome",
    "refused: clock",
  ]);
  for (let waitedMs = 0; waitedMs < 3_800_000; waitedMs += 20_000) {
    rig.clock.advance(20_000);
    for (const hello of hellos) assertEquals(rig.responder.receive(hello, FROM).kind, "ignored");
    using another = rig.hello();
    rig.welcome(another);
  }
  assertLessOrEqual(rig.responder.rememberedCount, 16 + 64);
});

Deno.test("what a server was sent before it began is not answered when it is sent again", () => {
  const rig = new Rig();
  const { hello } = rig.hello();
  assertEquals(rig.responder.receive(hello, FROM).kind, "welcome");
  rig.clock.advance(5_000);
  rig.responder = rig.newResponder();
  assertEquals(reasonOf(rig.responder.receive(hello, FROM)), "ignored: old");
  using now = rig.hello();
  rig.welcome(now);
});

const CLOCKS = [
  { name: "a minute slow", byMs: -59_000, expected: "welcome" },
  { name: "a minute fast", byMs: 59_000, expected: "welcome" },
  { name: "two minutes slow", byMs: -120_000, expected: "refused: clock" },
  { name: "two minutes fast", byMs: 120_000, expected: "refused: clock" },
  { name: "a day fast", byMs: 86_000_000, expected: "refused: clock" },
  { name: "a year fast", byMs: 31_000_000_000, expected: "ignored: old" },
];

for (const { name, byMs, expected } of CLOCKS) {
  Deno.test(`a clock that is ${name}: ${expected}`, () => {
    const rig = new Rig();
    // It has been running for longer than the clock is wrong.
    rig.clock.advance(600_000);
    using near = rig.hello({ wallMs: rig.clock.wallNow() + byMs });
    const verdict = rig.responder.receive(near.hello, FROM);
    assertEquals(reasonOf(verdict), expected);
    if (verdict.kind !== "refused") return;
    const read = near.read(verdict.answer);
    assert(read?.kind === "refused");
    assertEquals(read.reason, "clock");
    assertEquals(read.serverWallMs, rig.clock.wallNow());
    assertEquals(verdict.client?.name, "one");
  });
}

Deno.test("a clock that is slow is told each time, and a copy of what was sent then is not", () => {
  const rig = new Rig();
  const seen = [rig.hello().hello];
  assertEquals(rig.responder.receive(seen[0]!, FROM).kind, "welcome");
  rig.clock.advance(600_000);
  // Whoever has begun anew does not know any more what it was told.
  for (let turn = 0; turn < 120; turn++) {
    using slow = rig.hello({ wallMs: rig.clock.wallNow() - 90_000 });
    assertEquals(reasonOf(rig.responder.receive(slow.hello, FROM)), "refused: clock");
    rig.welcome(rig.hello());
    seen.push(slow.hello);
    rig.clock.advance(10_000);
    for (const copy of seen.slice(turn - 20)) assertEquals(rig.responder.receive(copy, FROM).kind, "ignored");
  }
  rig.agreements = 0;
  for (const copy of seen) assertEquals(rig.responder.receive(copy, FROM).kind, "ignored");
  assertLessOrEqual(rig.responder.rememberedCount, 350);
});

Deno.test("a server whose clock is set back goes on by the time it had", () => {
  const rig = new Rig();
  const { hello } = rig.hello();
  rig.responder.receive(hello, FROM);
  const wallNow = rig.clock.wallNow.bind(rig.clock);
  rig.clock.advance(200_000);
  rig.welcome(rig.hello());
  rig.clock.wallNow = () => wallNow() - 200_000;
  assertEquals(rig.responder.receive(hello, FROM).kind, "ignored");
});

Deno.test("a server whose clock was set back takes new hellos for as long as it runs, and forgets the old", () => {
  const rig = new Rig();
  const wallNow = rig.clock.wallNow.bind(rig.clock);
  rig.clock.advance(200_000);
  rig.welcome(rig.hello());
  rig.clock.wallNow = () => wallNow() - 20_000_000;
  for (let round = 0; round < 1100; round++) {
    rig.clock.advance(1_000);
    using near = rig.hello({ wallMs: wallNow() });
    rig.welcome(near);
  }
  assertLess(rig.responder.rememberedCount, 200);
});

Deno.test("copies of a hello whose time is over cost one key agreement, however many come", () => {
  const rig = new Rig();
  const { hello } = rig.hello();
  rig.clock.advance(5_000);
  rig.responder = rig.newResponder();
  rig.agreements = 0;
  for (let round = 0; round < 100; round++) assertEquals(rig.responder.receive(hello, FROM).kind, "ignored");
  assertEquals(rig.agreements, 1);
});

Deno.test("hellos beyond what is remembered of a client are no more than others in vain", () => {
  const rig = new Rig();
  for (let round = 0; round < 1024; round++) rig.welcome(rig.hello());
  rig.agreements = 0;
  const hellos = Array.from({ length: 1400 }, () => rig.hello().hello);
  rig.agreements = 0;
  for (const hello of hellos.slice(0, 300)) assertEquals(rig.responder.receive(hello, FROM).kind, "ignored");
  assertEquals(rig.agreements, 200);
  // Whoever is elsewhere does not feel it, until there are many of them.
  for (const hello of hellos.slice(300, 310)) rig.responder.receive(hello, "10.0.0.3");
  assertEquals(rig.agreements, 210);
  for (const [at, hello] of hellos.slice(310).entries()) rig.responder.receive(hello, `10.0.${1 + at % 200}.1`);
  assertEquals(rig.agreements, 1000);
});

Deno.test("without the server's key every byte of hellos and answers takes every value, alike often", () => {
  const rig = new Rig();
  const rounds = 600;
  const [hellos, answers] = [[], []] as [Bytes[], Bytes[]];
  for (let round = 0; round < rounds; round++) {
    using near = rig.hello();
    hellos.push(near.hello);
    if (round % 50 === 0) rig.clock.advance(10_000);
    answers.push(rig.welcome(near).answer(text("far")).answer);
  }
  for (const messages of [hellos, answers]) {
    const least = Math.min(...messages.map(({ length }) => length));
    const lengths = new Set(messages.map(({ length }) => length));
    assert(lengths.size > 50, "their length varies");
    for (let at = 0; at < least; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const ones = messages.filter((message) => (message[at]! >> bit & 1) === 1).length;
        // Six standard deviations of a fair coin: 12 of 600 are one.
        assert(Math.abs(ones - rounds / 2) < 6 * Math.sqrt(rounds) / 2, `byte ${at}, bit ${bit}: ${ones} ones`);
      }
    }
  }
});

Deno.test("before a hello has proven the server's key it costs no key agreement, and once it was false no second one", () => {
  const rig = new Rig();
  using near = rig.hello();
  rig.agreements = 0;
  for (let round = 0; round < 1000; round++) {
    const length = 100 + round;
    assertEquals(rig.responder.receive(rig.random.fill(new Uint8Array(length)), FROM).kind, "ignored");
  }
  assertEquals(rig.agreements, 0);
  const changed = near.hello.slice();
  changed[changed.length - 1]! ^= 1;
  assertEquals(reasonOf(rig.responder.receive(changed, FROM)), "ignored: false");
  assertEquals(rig.agreements, 1);
  assertEquals(reasonOf(rig.responder.receive(changed, FROM)), "ignored: seen");
  assertEquals(rig.agreements, 1);
});

Deno.test("changed hellos and answers, and any bytes, are taken for nothing", () => {
  const rig = new Rig();
  using near = rig.hello();
  const { answer } = rig.welcome(rig.hello()).answer(text("far"));
  assertDecoderSurvives((bytes) => void rig.responder.receive(bytes, FROM), { runs: 300, maxLength: 1400 });
  assertDecoderSurvives((bytes) => void near.read(bytes), { runs: 300 });
  fc.assert(
    fc.property(mutationsOf(fc.constant(near.hello)), (bytes) => {
      if (bytes.length === near.hello.length && bytes.every((byte, at) => byte === near.hello[at])) return;
      assertEquals(rig.responder.receive(bytes, FROM).kind, "ignored");
    }),
    { numRuns: 300 },
  );
  assertEquals(near.read(answer), undefined);
  using next = rig.hello();
  const { answer: own } = rig.welcome(next).answer(text("far"));
  fc.assert(
    fc.property(mutationsOf(fc.constant(own)), (bytes) => {
      if (bytes.length === own.length && bytes.every((byte, at) => byte === own[at])) return;
      assertEquals(next.read(bytes), undefined);
    }),
    { numRuns: 300 },
  );
  assertEquals(next.read(own)?.kind, "welcome");
});

Deno.test("credentials are read as they are written, and nothing else is one", () => {
  const rig = new Rig();
  const written = formatCredential(rig.credential);
  assertEquals(parseCredential(written), rig.credential);
  assertEquals(new URL(`https://${written}@host/`).username, written);
  for (const bad of ["", "a.b", written + ".x", written.slice(1), written.replace(".", "")]) {
    assertThrows(() => parseCredential(bad), Error, "Cannot use a credential");
  }
  for (
    const bad of ["", "=", "name", "name=short", `=${drawSecretText(rig.random)}`, `a b=${drawSecretText(rig.random)}`]
  ) {
    assertThrows(() => parseNamedSecret(bad), Error, "Cannot take");
  }
  assertThrows(() => parseServerKey(rig.crypto, "short"), Error, "Cannot use a server key");
});
