import { assert, assertEquals } from "@std/assert";
import { decodeHex, encodeHex } from "@std/encoding/hex";
import fc from "fast-check";
import {
  CENTRAL_REFUSALS,
  encodeCentralRefusal,
  encodeDownstreamNotice,
  encodePoll,
  encodePollAnswer,
  encodeUpstreamRefusal,
  MessageKind,
  parseCentralRefusal,
  parseClientMessage,
  parseDelivery,
  parseDownstreamNotice,
  parsePoll,
  parsePollAnswer,
  parseToCentral,
  parseToDownstream,
  parseUpstreamRefusal,
  readFragments,
  UPSTREAM_REFUSALS,
  writeClientHead,
  writeHopHead,
} from "./messages.ts";

const CENTRAL = "00112233445566778899aabbccddeeff";
const ALIAS = "f0e0d0c0b0a090807060504030201000";
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const some = fc.uint8Array({ minLength: 1, maxLength: 200 });

/** Every parser of this file: none may throw, whatever it is given. */
const PARSERS: Readonly<Record<string, (bytes: Uint8Array) => unknown>> = {
  parseClientMessage,
  parseUpstreamRefusal,
  parseToCentral,
  parseToDownstream,
  parseCentralRefusal,
  parseDownstreamNotice,
  parsePoll,
  parseDelivery,
  parsePollAnswer,
  readFragments: (bytes) => readFragments(bytes, () => {}),
};

Deno.test("messages of a session have the bytes of the format", () => {
  const rows: { name: string; bytes: Uint8Array; hex: string }[] = [
    {
      name: "refused by upstream",
      bytes: encodeUpstreamRefusal({ centralId: decodeHex(CENTRAL), alias: decodeHex(ALIAS), code: "busy" }),
      hex: `e0${CENTRAL}${ALIAS}03`,
    },
    {
      name: "refused by central",
      bytes: encodeCentralRefusal({ alias: decodeHex(ALIAS), code: "unknown_alias" }),
      hex: `e1${ALIAS}01`,
    },
    {
      name: "dropped",
      bytes: encodeDownstreamNotice({ type: "dropped", alias: decodeHex(ALIAS), droppedBytes: 0x89abcdef }),
      hex: `e2${ALIAS}89abcdef`,
    },
    {
      name: "listener",
      bytes: encodeDownstreamNotice({ type: "listener", alias: decodeHex(ALIAS), isListening: true }),
      hex: `e3${ALIAS}01`,
    },
    {
      name: "poll",
      bytes: encodePoll({ claim: new Uint8Array(32).fill(7), acknowledged: 0x01020304 }),
      hex: "07".repeat(32) + "01020304",
    },
    {
      name: "answer to a poll",
      bytes: encodePollAnswer({ number: 5, messages: [Uint8Array.of(2, 9), Uint8Array.of(3, 8, 7)] }),
      hex: "00000005" + "00000002" + "0209" + "00000003" + "030807",
    },
  ];
  for (const row of rows) assertEquals(encodeHex(row.bytes), row.hex, row.name);
});

Deno.test("a client's message and a hop's message are read as they were written", () => {
  fc.assert(
    fc.property(bytes(16), bytes(16), some, fc.constantFrom(1, 2, 3), (centralId, alias, rest, kind) => {
      const whole = new Uint8Array(33 + rest.length);
      writeClientHead(whole, { kind: kind as 1, centralId, alias });
      whole.set(rest, 33);
      const client = parseClientMessage(whole);
      if (kind === MessageKind.OPENED) assertEquals(client, undefined);
      else assertEquals(client, { kind: kind as 1, centralId, alias, rest });
      const hop = new Uint8Array(17 + rest.length);
      writeHopHead(hop, kind as 1, alias);
      hop.set(rest, 17);
      const expected = { kind: kind as 1, alias, rest };
      assertEquals(parseToCentral(hop), kind === MessageKind.OPENED ? undefined : expected);
      assertEquals(parseToDownstream(hop), kind === MessageKind.OPEN ? undefined : expected);
      const delivery = new Uint8Array([kind, ...rest]);
      assertEquals(parseDelivery(delivery), kind === MessageKind.OPEN ? undefined : { kind: kind as 2, rest });
    }),
  );
});

Deno.test("refusals, notices, polls and their answers are read as they were written", () => {
  fc.assert(fc.property(bytes(16), bytes(16), fc.constantFrom(...UPSTREAM_REFUSALS), (centralId, alias, code) => {
    assertEquals(parseUpstreamRefusal(encodeUpstreamRefusal({ centralId, alias, code })), { centralId, alias, code });
  }));
  fc.assert(fc.property(bytes(16), fc.constantFrom(...CENTRAL_REFUSALS), (alias, code) => {
    assertEquals(parseCentralRefusal(encodeCentralRefusal({ alias, code })), { alias, code });
  }));
  fc.assert(fc.property(bytes(16), fc.nat(0xffffffff), fc.boolean(), (alias, droppedBytes, isListening) => {
    for (
      const notice of [{ type: "dropped", alias, droppedBytes }, { type: "listener", alias, isListening }] as const
    ) {
      assertEquals(parseDownstreamNotice(encodeDownstreamNotice(notice)), notice);
    }
  }));
  fc.assert(fc.property(bytes(32), fc.nat(0xffffffff), fc.array(some), (claim, number, messages) => {
    assertEquals(parsePoll(encodePoll({ claim, acknowledged: number })), { claim, acknowledged: number });
    assertEquals(parsePollAnswer(encodePollAnswer({ number, messages })), { number, messages });
  }));
});

Deno.test("fragments are read one by one, and what is none ends them", () => {
  const fragments = [new Uint8Array(24).fill(1), new Uint8Array(512).fill(2), new Uint8Array(32768).fill(3)];
  const batch = new Uint8Array(fragments.reduce((sum, fragment) => sum + 2 + fragment.length, 0));
  let at = 0;
  for (const fragment of fragments) {
    new DataView(batch.buffer).setUint16(at, fragment.length);
    batch.set(fragment, at + 2);
    at += 2 + fragment.length;
  }
  const read: Uint8Array[] = [];
  assert(readFragments(batch, (fragment) => read.push(fragment.slice())));
  assertEquals(read, fragments);
  assert(!readFragments(batch.subarray(0, batch.length - 1), () => {}));
  assert(!readFragments(Uint8Array.of(0, 23, ...new Uint8Array(23)), () => {}));
  assert(!readFragments(Uint8Array.of(0), () => {}));
});

Deno.test("no bytes make a parser throw, nor does any change to a message", () => {
  const valid = fc.oneof(
    fc.record({ claim: bytes(32), acknowledged: fc.nat() }).map(encodePoll),
    fc.record({ number: fc.nat(), messages: fc.array(some) }).map(encodePollAnswer),
    bytes(16).map((alias) => encodeCentralRefusal({ alias, code: "busy" })),
    bytes(16).map((alias) => encodeDownstreamNotice({ type: "dropped", alias, droppedBytes: 4 })),
    fc.tuple(fc.constantFrom(1, 2, 3), some).map(([kind, rest]) => Uint8Array.of(kind, ...rest)),
  );
  fc.assert(fc.property(valid, fc.nat(), fc.nat(255), fc.nat(), (message, at, value, cut) => {
    const changed = message.slice(0, message.length - cut % (message.length + 1));
    if (changed.length > 0) changed[at % changed.length] = value;
    for (const parse of Object.values(PARSERS)) parse(changed);
  }));
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (any) => {
    for (const parse of Object.values(PARSERS)) parse(any);
  }));
});

Deno.test("a message that is too long, has no rest, or an unknown code is none", () => {
  const tooLong = new Uint8Array(256 * 1024 + 1);
  tooLong[0] = MessageKind.DATA;
  for (const parse of [parseClientMessage, parseToCentral, parseToDownstream, parseDelivery]) {
    assertEquals(parse(tooLong), undefined);
    assert(parse(tooLong.subarray(0, 256 * 1024)));
  }
  for (const hex of [`e0${CENTRAL}${ALIAS}00`, `e0${CENTRAL}${ALIAS}06`]) {
    assertEquals(parseUpstreamRefusal(decodeHex(hex)), undefined);
  }
  for (const hex of [`e1${ALIAS}00`, `e1${ALIAS}04`]) assertEquals(parseCentralRefusal(decodeHex(hex)), undefined);
  assertEquals(parseDownstreamNotice(decodeHex(`e3${ALIAS}02`)), undefined);
  assertEquals(parseToCentral(decodeHex(`02${ALIAS}`)), undefined);
});
