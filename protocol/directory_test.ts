import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { z } from "zod";
import { exitCandidate, key, peerId, sessionOffer, signature, token } from "./control/fixtures/arbitraries.ts";
import { sessionOfferSchema } from "./control/commands.ts";
import {
  exitCandidateSchema,
  exitEndRequestSchema,
  exitNoticeSchema,
  exitPeerRequestSchema,
  exitPeerResponseSchema,
  exitRegionRequestSchema,
  exitRegionResponseSchema,
  exitSetupRequestSchema,
  exitSetupResponseSchema,
  hasExitsIn,
  heartbeatBatchSchema,
  heartbeatResponseSchema,
  isLive,
  MAX_EXIT_REGIONS,
  MAX_HEARTBEATS_PER_BATCH,
  relayListSchema,
  relayQuerySchema,
  relayRecordSchema,
  type SupernodeRecord,
  supernodeRecordSchema,
  supernodeRegistrationSchema,
  supernodeStatusSchema,
} from "./directory.ts";
import { certificateSchema, keySchema, peerIdSchema, signatureSchema, tokenSchema, urlSchema } from "./fields.ts";
import { isPeerId } from "./identity.ts";
import { decodeBase64, decodeBase64Url } from "./encoding.ts";

const SCHEMAS: Record<string, z.ZodType> = {
  exitCandidateSchema,
  exitEndRequestSchema,
  exitNoticeSchema,
  exitPeerRequestSchema,
  exitPeerResponseSchema,
  exitRegionRequestSchema,
  exitRegionResponseSchema,
  exitSetupRequestSchema,
  exitSetupResponseSchema,
  heartbeatBatchSchema,
  heartbeatResponseSchema,
  relayListSchema,
  relayQuerySchema,
  relayRecordSchema,
  supernodeRecordSchema,
};

const RECORD: SupernodeRecord = {
  supernodeId: fc.sample(peerId, { numRuns: 1, seed: 1 })[0]!,
  publicKey: fc.sample(key, { numRuns: 1, seed: 1 })[0]!,
  region: "eu",
  url: "https://sn1.example:8443",
  maxStreams: 15_000,
  version: "0.1.0",
  status: { load: 0.5, streams: 10, exits: 3, draining: false },
  registeredAtMs: 1,
  heartbeatAtMs: 2,
  expiresAtMs: 30_002,
};

Deno.test("every schema can be described in OpenAPI and refuses anything without throwing", () => {
  for (const [name, schema] of Object.entries(SCHEMAS)) {
    assertEquals(z.toJSONSchema(schema)["type"], "object", name);
    fc.assert(fc.property(fc.jsonValue(), (value) => {
      schema.safeParse(value);
    }));
  }
});

Deno.test("a record is read as it was written, and counts until it expires", () => {
  assertEquals(supernodeRecordSchema.parse(JSON.parse(JSON.stringify(RECORD))), RECORD);
  assertEquals([isLive(RECORD, 30_001), isLive(RECORD, 30_002)], [true, false]);
  fc.assert(fc.property(exitCandidate, sessionOffer, (candidate, offer) => {
    assertEquals(exitCandidateSchema.parse(candidate), candidate);
    assertEquals(sessionOfferSchema.parse(offer), offer);
  }));
});

Deno.test("exits are where a supernode says, or all in its own region", () => {
  const { status } = RECORD;
  const found = (changes: Partial<typeof status>) =>
    ["eu", "us"].filter((region) => hasExitsIn({ region: "eu", status: { ...status, ...changes } }, region));
  assertEquals(found({}), ["eu"]);
  assertEquals(found({ exitRegions: ["us"] }), ["us"]);
  assertEquals(found({ exitRegions: ["us", "eu"] }), ["eu", "us"]);
  assertEquals(found({ exitRegions: ["us"], exits: 0 }), []);
  const many = Array.from({ length: MAX_EXIT_REGIONS + 1 }, (_, number) => `r${number}`);
  assertEquals(supernodeStatusSchema.safeParse({ ...status, exitRegions: many }).success, false);
  assertEquals(supernodeStatusSchema.safeParse({ ...status, exitRegions: many.slice(1) }).success, true);
});

Deno.test("what a registration may not say is refused", () => {
  const rows: Record<string, unknown>[] = [
    { region: "EU" },
    { region: "" },
    { url: "ftp://sn1.example" },
    { url: "https://" },
    { url: "https://user:secret@sn1.example" },
    { url: `https://${"a".repeat(600)}` },
    { maxStreams: -1 },
    { maxStreams: 1.5 },
    { publicKey: "AAAA" },
    { supernodeId: RECORD.supernodeId.toUpperCase() },
    { status: { ...RECORD.status, load: 1.1 } },
    { status: { ...RECORD.status, load: NaN } },
    { version: "1.0\n" },
  ];
  assert(supernodeRegistrationSchema.safeParse(RECORD).success);
  for (const change of rows) {
    assertEquals(
      supernodeRegistrationSchema.safeParse({ ...RECORD, ...change }).success,
      false,
      JSON.stringify(change),
    );
  }
});

Deno.test("a batch of heartbeats is bounded", () => {
  const heartbeat = { supernodeId: RECORD.supernodeId, ...RECORD.status };
  const batchOf = (count: number) =>
    heartbeatBatchSchema.safeParse({ heartbeats: Array(count).fill(heartbeat) }).success;
  assertEquals([0, 1, MAX_HEARTBEATS_PER_BATCH, MAX_HEARTBEATS_PER_BATCH + 1].map(batchOf), [false, true, true, false]);
});

Deno.test("each leaf takes exactly what its decoder takes", () => {
  fc.assert(fc.property(peerId, key, signature, token, (id, someKey, someSignature, someToken) => {
    assert(peerIdSchema.safeParse(id).success && isPeerId(id));
    assert(keySchema.safeParse(someKey).success && decodeBase64(someKey)?.length === 32);
    assert(signatureSchema.safeParse(someSignature).success && decodeBase64(someSignature)?.length === 64);
    assert(tokenSchema.safeParse(someToken).success && decodeBase64Url(someToken)?.length === 16);
  }));
  const nearMisses = fc.tuple(fc.oneof(key, signature, token, peerId), fc.nat(), fc.string({ maxLength: 2 }))
    .map(([text, at, put]) => text.slice(0, at % text.length) + put + text.slice(at % text.length + 1));
  fc.assert(fc.property(nearMisses, (text) => {
    assertEquals(keySchema.safeParse(text).success, decodeBase64(text)?.length === 32, text);
    assertEquals(signatureSchema.safeParse(text).success, decodeBase64(text)?.length === 64, text);
    assertEquals(tokenSchema.safeParse(text).success, decodeBase64Url(text)?.length === 16, text);
    assertEquals(peerIdSchema.safeParse(text).success, isPeerId(text), text);
  }));
});

Deno.test("leaves end where their text ends", () => {
  for (const ending of ["\n", " ", "\0"]) {
    assertEquals(peerIdSchema.safeParse(RECORD.supernodeId + ending).success, false);
    assertEquals(keySchema.safeParse(RECORD.publicKey + ending).success, false);
    assertEquals(urlSchema.safeParse(RECORD.url + ending).success, false);
    assertEquals(certificateSchema.safeParse(`culvert-cert-v1.A.${"A".repeat(86)}${ending}`).success, false);
  }
});
