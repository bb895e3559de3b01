import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { SeededRandom } from "../testing/seeded_random.ts";
import { decodeBase64 } from "./encoding.ts";
import { CulvertError } from "./errors.ts";
import { type RequestHead, signatureBase, type SignatureFault, signRequest, verifyRequest } from "./http_signature.ts";
import { generateSecrets, Identity } from "./identity.ts";
import { portablePrimitives as primitives } from "./primitives.ts";
import { formatInnerList, parseByteSequences, parseInnerLists } from "./structured_field.ts";

const NOW_MS = Date.UTC(2026, 0, 1);
/** y = 1, the neutral point, under which one signature fits every message for a careless verifier. */
const SMALL_ORDER = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const BODY = new TextEncoder().encode('{"hello": "world"}');

const random = new SeededRandom(9421);
const signer = new Identity(generateSecrets(random), primitives);
const stranger = new Identity(generateSecrets(random), primitives);

interface Signed extends RequestHead {
  readonly headers: Headers;
  readonly body: Uint8Array;
}

function signed(overrides: { readonly method?: string; readonly url?: string; readonly by?: Identity } = {}): Signed {
  const { method = "POST", url = "https://base.example/v1/supernodes?a=b", by = signer } = overrides;
  const headers = signRequest({ method, url }, BODY, { signer: by, wallNowMs: NOW_MS, random, primitives });
  return { method, url, headers: new Headers(headers), body: BODY };
}

function verdictOf(request: Signed, wallNowMs = NOW_MS): string {
  const verdict = verifyRequest(request, request.body, { wallNowMs, primitives });
  return verdict.ok ? verdict.signature.peerId : verdict.fault;
}

// RFC 9421 appendix B.1.4 (the key), B.2 (the request) and B.2.6 (the signature).
const RFC_KEY = decodeBase64("JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=")!;
const RFC_SECRET_KEY = decodeBase64("n4Ni+HpISpVObnQMW0wOhCKROaIKqKtW/2ZYb2p9KcU=")!;
const RFC_REQUEST: RequestHead = {
  method: "POST",
  url: "https://example.com/foo?param=Value&Pet=dog",
  headers: new Headers({
    "Date": "Tue, 20 Apr 2021 02:07:55 GMT",
    "Content-Type": "application/json",
    "Content-Length": "18",
  }),
};
const RFC_INPUT = 'sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length")' +
  ';created=1618884473;keyid="test-key-ed25519"';
const RFC_SIGNATURE =
  "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:";

Deno.test("the example of RFC 9421 B.2.6 has the base and the signature that stand there", () => {
  const base = signatureBase(parseInnerLists(RFC_INPUT)!.get("sig-b26")!, RFC_REQUEST)!;
  assertEquals(
    new TextDecoder().decode(base),
    [
      '"date": Tue, 20 Apr 2021 02:07:55 GMT',
      '"@method": POST',
      '"@path": /foo',
      '"@authority": example.com',
      '"content-type": application/json',
      '"content-length": 18',
      '"@signature-params": ' + RFC_INPUT.slice("sig-b26=".length),
    ].join("\n"),
  );
  const signature = parseByteSequences(RFC_SIGNATURE)!.get("sig-b26")!;
  assertEquals(primitives.ed25519Sign(base, RFC_SECRET_KEY), signature);
  assert(primitives.ed25519Verify(signature, base, RFC_KEY));
});

// RFC 9421 §2.2: how a request's own parts are written.
for (
  const [component, url, value] of [
    ["@authority", "https://www.Example.com:443/", "www.example.com"],
    ["@authority", "http://example.com:8080/", "example.com:8080"],
    ["@path", "https://example.com", "/"],
    ["@path", "https://example.com/a%20b/", "/a%20b/"],
    ["@query", "https://example.com/?param=value&foo=bar", "?param=value&foo=bar"],
    ["@query", "https://example.com/", "?"],
  ] as const
) {
  Deno.test(`${component} of ${url} is ${value}`, () => {
    const base = signatureBase({ items: [component], parameters: new Map() }, { ...RFC_REQUEST, url })!;
    assertEquals(new TextDecoder().decode(base).split("\n")[0], `"${component}": ${value}`);
  });
}

Deno.test("a signed request says who signed it and until when its nonce matters", () => {
  const request = signed();
  const verdict = verifyRequest(request, BODY, { wallNowMs: NOW_MS, primitives });
  assert(verdict.ok);
  const { peerId, publicKey, nonce, goodUntilMs } = verdict.signature;
  assertEquals([peerId, publicKey], [signer.peerId, signer.publicKey]);
  assertEquals([nonce.length, goodUntilMs], [22, NOW_MS + 60_001]);
  assertEquals(verdictOf(request, goodUntilMs - 1), signer.peerId);
  assertEquals(verdictOf(request, goodUntilMs), "stale");
});

Deno.test("no two signatures share a nonce", () => {
  const inputs = Array.from({ length: 20 }, () => signed().headers.get("signature-input"));
  assertEquals(new Set(inputs).size, inputs.length);
});

/** The same request with a header written otherwise. */
function rewritten(name: string, change: (value: string) => string): Signed {
  const request = signed();
  request.headers.set(name, change(request.headers.get(name)!));
  return request;
}

/** A request signed by the right key, but over something else than it should be. */
function signedOver(
  items: readonly string[],
  parameters: Readonly<Record<string, string | number>> = {},
  request = signed(),
): Signed {
  const { parameters: usual } = parseInnerLists(request.headers.get("signature-input")!)!.get("culvert")!;
  const input = { items, parameters: new Map([...usual, ...Object.entries(parameters)]) };
  const base = signatureBase(input, request) ?? new Uint8Array();
  const text = [...input.parameters].map(([key, value]) => `;${key}=${JSON.stringify(value)}`).join("");
  request.headers.set("signature-input", `culvert=(${items.map((item) => `"${item}"`).join(" ")})${text}`);
  request.headers.set("signature", `culvert=:${signer.signHttp(base).toBase64()}:`);
  return request;
}

function without(name: string): Signed {
  const request = signed();
  request.headers.delete(name);
  return request;
}

const ALL = ["@method", "@authority", "@path", "@query", "content-digest"];

const attacks: readonly (readonly [string, SignatureFault, Signed])[] = [
  ["no signature", "unsigned", without("signature")],
  ["no signature input", "unsigned", without("signature-input")],
  ["no digest", "malformed", without("content-digest")],
  ["another method", "bad_signature", { ...signed(), method: "PUT" }],
  ["another host", "bad_signature", { ...signed(), url: "https://other.example/v1/supernodes?a=b" }],
  ["another path", "bad_signature", { ...signed(), url: "https://base.example/v1/relays?a=b" }],
  ["another query", "bad_signature", { ...signed(), url: "https://base.example/v1/supernodes?a=c" }],
  ["another body", "bad_digest", { ...signed(), body: new TextEncoder().encode('{"hello": "earth"}') }],
  ["another body and its digest", "bad_signature", bodySwapped()],
  ["another digest", "bad_signature", rewritten("content-digest", (text) => `x${text}`)],
  ["a signed digest of another kind alone", "bad_digest", withOtherDigest()],
  [
    "another key's id",
    "bad_signature",
    rewritten("signature-input", (text) => text.replace(keyOf(signer), keyOf(stranger))),
  ],
  [
    "a key of small order",
    "bad_signature",
    rewritten("signature-input", (text) => text.replace(keyOf(signer), SMALL_ORDER)),
  ],
  ["a key that is short", "malformed", rewritten("signature-input", (text) => text.replace(keyOf(signer), "AAAA"))],
  ["another nonce", "bad_signature", rewritten("signature-input", (text) => text.replace(/nonce="./, 'nonce="_'))],
  ["a nonce that is short", "malformed", signedOver(ALL, { nonce: "abc" })],
  ["a nonce that is long", "malformed", signedOver(ALL, { nonce: "a".repeat(65) })],
  [
    "a later time",
    "bad_signature",
    rewritten("signature-input", (text) => text.replace(/created=\d+/, `created=${NOW_MS / 1000 + 5}`)),
  ],
  ["a time beyond the clocks' difference", "stale", signedOver(ALL, { created: NOW_MS / 1000 + 61 })],
  ["an old time", "stale", signedOver(ALL, { created: NOW_MS / 1000 - 61 })],
  ["a time that is a text", "malformed", signedOver(ALL, { created: "now" })],
  ["another algorithm", "malformed", signedOver(ALL, { alg: "hmac-sha256" })],
  ["another tag", "unsigned", signedOver(ALL, { tag: "culvert/http/v2" })],
  ["another label", "malformed", rewritten("signature", (text) => text.replace("culvert=", "other="))],
  ["a signature that is no base64", "malformed", rewritten("signature", () => "culvert=:?:")],
  ["a short signature", "bad_signature", rewritten("signature", () => "culvert=:AAAA:")],
  ["a component twice", "malformed", signedOver([...ALL, "@path"])],
  ["a component nobody knows", "malformed", signedOver([...ALL, "@status"])],
  ["a field that is not there", "malformed", signedOver([...ALL, "date"])],
  ...ALL.map((name) =>
    [`${name} not covered`, "not_covered", signedOver(ALL.filter((other) => other !== name))] as const
  ),
];

for (const [what, fault, request] of attacks) {
  Deno.test(`a request with ${what} is ${fault}`, () => assertEquals(verdictOf(request), fault));
}

function keyOf(identity: Identity): string {
  return identity.publicKey.toBase64();
}

/** Rightly signed, but with a digest that we do not know. */
function withOtherDigest(): Signed {
  const request = signed();
  request.headers.set("content-digest", "sha-512=:AAAA:");
  return signedOver(ALL, {}, request);
}

function bodySwapped(): Signed {
  const body = new TextEncoder().encode("{}");
  const digest = `sha-256=:${primitives.sha256(body).toBase64()}:`;
  return { ...rewritten("content-digest", () => digest), body };
}

Deno.test("a signature that a proxy put beside ours changes nothing", () => {
  const request = signed();
  const { headers } = request;
  headers.set("signature-input", `proxy=("date");created=1;tag="via", ${headers.get("signature-input")}`);
  headers.set("signature", `${headers.get("signature")}, proxy=:AAAA:`);
  assertEquals(verdictOf(request), signer.peerId);
});

Deno.test("more may be covered than must be", () => {
  const request = signedOver(ALL);
  assertEquals(verdictOf(request), signer.peerId);
});

Deno.test("only requests with an absolute URL are signed", () => {
  const options = { signer, wallNowMs: NOW_MS, random, primitives };
  assertThrows(() => signRequest({ method: "GET", url: "/v1" }, BODY, options), CulvertError);
});

/** What a header says, however it is spaced. */
function meaningOf(name: string, text: string): string | undefined {
  if (name !== "signature-input") return JSON.stringify([...parseByteSequences(text) ?? []]);
  return JSON.stringify([...parseInnerLists(text) ?? []].map(([key, list]) => key + formatInnerList(list)));
}

Deno.test("a header that says anything else is refused, and none makes the verifier throw", () => {
  const names = ["signature-input", "signature", "content-digest"];
  fc.assert(
    fc.property(fc.constantFrom(...names), fc.nat(), fc.stringMatching(/^[ -~]{1,4}$/), (name, at, piece) => {
      const request = signed();
      const text = request.headers.get(name)!;
      const cut = at % text.length;
      const changed = text.slice(0, cut) + piece + text.slice(cut + piece.length);
      request.headers.set(name, changed);
      if (meaningOf(name, changed) !== meaningOf(name, text)) assertNotEquals(verdictOf(request), signer.peerId);
    }),
    { numRuns: 60 },
  );
  fc.assert(
    fc.property(fc.constantFrom(...names), fc.string({ unit: "binary-ascii" }), (name, text) => {
      const { headers, ...request } = signed();
      const get = (asked: string) => asked === name ? text : headers.get(asked);
      assert(!verifyRequest({ ...request, headers: { get } }, BODY, { wallNowMs: NOW_MS, primitives }).ok);
    }),
    { numRuns: 60 },
  );
});
