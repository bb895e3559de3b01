import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { SeededRandom } from "../testing/seeded_random.ts";
import {
  ANY_REGION,
  type Certificate,
  type CertificateCheck,
  encodeCertificate,
  issueCertificate,
  type Issuer,
  networkIdOf,
  parseCertificate,
  verifyCertificate,
} from "./certificate.ts";
import { decodeBase64Url, encodeBase64Url } from "./encoding.ts";
import { CulvertError } from "./errors.ts";
import { peerIdOf } from "./identity.ts";
import { portablePrimitives as primitives } from "./primitives.ts";
import { CERTIFICATE_DOMAIN, type Field, sign, signedBytes } from "./signing.ts";

const NETWORK_KEY = new Uint8Array(32).fill(1);
const NETWORK_PUBLIC_KEY = primitives.ed25519PublicKey(NETWORK_KEY);
const NETWORK_ID = networkIdOf(NETWORK_PUBLIC_KEY, primitives);
const PEER_ID = peerIdOf(primitives.ed25519PublicKey(new Uint8Array(32).fill(2)), primitives);
const OTHER_PEER_ID = peerIdOf(primitives.ed25519PublicKey(new Uint8Array(32).fill(3)), primitives);
const START_MS = Date.UTC(2026, 0, 1);
const END_MS = Date.UTC(2027, 0, 1);
const SERIAL = "abcdefghijklmnop";

function issuer(networkKey = NETWORK_KEY): Issuer {
  return { networkKey, primitives, random: new SeededRandom(4) };
}

function certificate(region = "eu"): Certificate {
  const request = { peerId: PEER_ID, roles: ["exit", "client"], region, notBeforeMs: START_MS, notAfterMs: END_MS };
  return issueCertificate(request, issuer());
}

function check(changes: Partial<CertificateCheck> = {}): CertificateCheck {
  return {
    networkPublicKey: NETWORK_PUBLIC_KEY,
    peerId: PEER_ID,
    role: "exit",
    region: "eu",
    nowMs: START_MS + 1,
    primitives,
    ...changes,
  };
}

/** A text with a good signature of the network key over whatever fields it is given. */
function signedText(fields: readonly Field[], domain = CERTIFICATE_DOMAIN): string {
  const signature = sign({ domain, fields }, NETWORK_KEY, primitives);
  return `culvert-cert-v1.${encodeBase64Url(signedBytes(domain, fields))}.${encodeBase64Url(signature)}`;
}

Deno.test("a certificate survives its text form and is believed", () => {
  const issued = certificate();
  assertEquals(issued.roles, ["client", "exit"]);
  assertEquals(issued.networkId, NETWORK_ID);
  const text = encodeCertificate(issued);
  assert(/^culvert-cert-v1\.[\w-]+\.[\w-]{86}$/.test(text));
  assertEquals(parseCertificate(text), issued);
  assertEquals(verifyCertificate(text, check()), { ok: true, certificate: issued });
});

Deno.test("a certificate is refused for the first thing that does not hold", () => {
  const text = encodeCertificate(certificate());
  const otherNetwork = primitives.ed25519PublicKey(new Uint8Array(32).fill(9));
  const rows: { name: string; text?: string; changes?: Partial<CertificateCheck>; reason: string | undefined }[] = [
    { name: "good", reason: undefined },
    { name: "other role it has", changes: { role: "client" }, reason: undefined },
    { name: "not a certificate", text: "hello", reason: "malformed" },
    { name: "other network", changes: { networkPublicKey: otherNetwork }, reason: "wrong_network" },
    { name: "other peer", changes: { peerId: OTHER_PEER_ID }, reason: "wrong_peer" },
    { name: "other role", changes: { role: "supernode" }, reason: "wrong_role" },
    { name: "other region", changes: { region: "us" }, reason: "wrong_region" },
    { name: "good everywhere", text: encodeCertificate(certificate(ANY_REGION)), reason: undefined },
    { name: "too early", changes: { nowMs: START_MS - 60_001 }, reason: "not_yet_valid" },
    { name: "early by no more than clocks differ", changes: { nowMs: START_MS - 60_000 }, reason: undefined },
    { name: "last millisecond", changes: { nowMs: END_MS - 1 }, reason: undefined },
    { name: "too late", changes: { nowMs: END_MS }, reason: "expired" },
    { name: "revoked", changes: { isRevoked: () => true }, reason: "revoked" },
    { name: "not revoked", changes: { isRevoked: () => false }, reason: undefined },
  ];
  for (const { name, changes, reason, ...row } of rows) {
    const verdict = verifyCertificate(row.text ?? text, check(changes));
    assertEquals(verdict.ok ? undefined : verdict.reason, reason, name);
  }
});

Deno.test("a certificate needs no region where none matters", () => {
  const { region: _, ...anywhere } = check();
  assert(verifyCertificate(encodeCertificate(certificate()), anywhere).ok);
});

Deno.test("a certificate that claims the network but is signed by another key is refused", () => {
  const { signature: _, version: __, ...claims } = certificate();
  const forged = issueCertificate({ ...claims, roles: ["exit"] }, issuer(new Uint8Array(32).fill(7)));
  const verdict = verifyCertificate(encodeCertificate({ ...forged, networkId: NETWORK_ID }), check());
  assertEquals(verdict, { ok: false, reason: "bad_signature" });
});

Deno.test("revocation is asked only of authentic certificates, with their serial", () => {
  const serials: string[] = [];
  const isRevoked = (claims: { serial: string }) => serials.push(claims.serial) > 0;
  const issued = certificate();
  const forged = { ...issued, roles: ["exit", "supernode"] };
  assertEquals(verifyCertificate(encodeCertificate(forged), check({ isRevoked })).ok, false);
  assertEquals(serials, []);
  verifyCertificate(encodeCertificate(issued), check({ isRevoked }));
  assertEquals(serials, [issued.serial]);
});

Deno.test("no text makes the parser throw, and every text that parses is the one its certificate has", () => {
  const text = encodeCertificate(certificate());
  const mutated = fc.tuple(fc.nat(text.length - 1), fc.string({ maxLength: 3 }), fc.nat(3))
    .map(([at, insert, remove]) => text.slice(0, at) + insert + text.slice(at + remove));
  const payload = fc.uint8Array({ maxLength: 300 })
    .map((bytes) => `culvert-cert-v1.${encodeBase64Url(bytes)}.${encodeBase64Url(new Uint8Array(64))}`);
  fc.assert(
    fc.property(fc.oneof(fc.string(), mutated, payload), (candidate) => {
      const parsed = parseCertificate(candidate);
      if (parsed) assertEquals(encodeCertificate(parsed), candidate);
    }),
    { numRuns: 500 },
  );
});

Deno.test("no change to one byte of the payload or the signature is believed", () => {
  const [prefix, payloadText, signatureText] = encodeCertificate(certificate()).split(".") as [string, string, string];
  const payload = decodeBase64Url(payloadText)!;
  const signature = decodeBase64Url(signatureText)!;
  for (const [bytes, step] of [[payload, 1], [signature, 5]] as const) {
    for (let at = 0; at < bytes.length; at += step) {
      bytes[at]! ^= 1;
      const text = `${prefix}.${encodeBase64Url(payload)}.${encodeBase64Url(signature)}`;
      assert(!verifyCertificate(text, check()).ok, `byte ${at}`);
      bytes[at]! ^= 1;
    }
  }
});

Deno.test("a payload that breaks a rule is malformed even when the network key signed it", () => {
  const good: Field[] = [NETWORK_ID, PEER_ID, ["exit"], "eu", START_MS, END_MS, SERIAL];
  assert(verifyCertificate(signedText(good), check()).ok);
  const rows: { name: string; at: number; field: Field }[] = [
    { name: "network id", at: 0, field: "x" },
    { name: "peer id", at: 1, field: PEER_ID.toUpperCase() },
    { name: "no roles", at: 2, field: [] },
    { name: "roles out of order", at: 2, field: ["exit", "client"] },
    { name: "a role twice", at: 2, field: ["exit", "exit"] },
    { name: "too many roles", at: 2, field: Array.from({ length: 17 }, (_, role) => `r${10 + role}`) },
    { name: "a role with a capital", at: 2, field: ["Exit"] },
    { name: "a role with a byte-order mark", at: 2, field: ["\ufeffexit"] },
    { name: "empty region", at: 3, field: "" },
    { name: "region of bytes that are not UTF-8", at: 3, field: Uint8Array.of(0xff) },
    { name: "start of four bytes", at: 4, field: new Uint8Array(4) },
    { name: "end before start", at: 5, field: START_MS },
    { name: "end beyond all dates", at: 5, field: new Uint8Array(8).fill(0xff) },
    { name: "serial", at: 6, field: "1" },
  ];
  for (const { name, at, field } of rows) {
    assertEquals(parseCertificate(signedText(good.with(at, field))), undefined, name);
  }
  assertEquals(parseCertificate(signedText(good, "culvert/certificate/v2")), undefined, "another domain");
  assertEquals(parseCertificate(signedText([...good, "more"])), undefined, "a field too many");
  assertEquals(parseCertificate(signedText(good.slice(0, -1))), undefined, "a field too few");
  assertEquals(parseCertificate(signedText(good) + ".x"), undefined, "a part too many");
  assertEquals(parseCertificate(signedText(good) + "A".repeat(10_000)), undefined, "too long");
});

Deno.test("a request that cannot be a certificate says what is wrong with it", () => {
  const request = { peerId: PEER_ID, roles: ["exit"], notBeforeMs: START_MS, notAfterMs: END_MS };
  const rows = [
    { changes: { peerId: "me" }, message: 'peer id must be 26 characters of base32, got "me"' },
    { changes: { roles: [] }, message: "roles must be 1 to 16, got 0" },
    { changes: { roles: ["Exit"] }, message: 'role must be lower-case letters, digits and hyphens, got "Exit"' },
    { changes: { region: "E U" }, message: 'region must be "*" or lower-case' },
    { changes: { notAfterMs: START_MS }, message: "end must be after the start" },
    { changes: { notBeforeMs: NaN }, message: "start must be a time" },
  ];
  for (const { changes, message } of rows) {
    const error = assertThrows(() => issueCertificate({ ...request, ...changes }, issuer()), CulvertError, message);
    assertEquals(error.code, "invalid_certificate");
  }
});

Deno.test("two certificates never share a serial", () => {
  const one = issuer();
  const request = { peerId: PEER_ID, roles: ["exit"], notBeforeMs: START_MS, notAfterMs: END_MS };
  const serials = new Set(Array.from({ length: 20 }, () => issueCertificate(request, one).serial));
  assertEquals(serials.size, 20);
});
