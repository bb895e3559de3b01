import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { encodeCertificate, issueCertificate } from "../../protocol/certificate.ts";
import { generateSecrets, Identity } from "../../protocol/identity.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { hostPrimitives } from "../host_primitives.ts";
import { CERTIFICATE_HEADER, LINK_ROLES, LinkGuard, type LinkRole, type LinkSigning, signLink } from "./link_auth.ts";

const primitives = hostPrimitives();
const random = new SeededRandom(1);
const dialler = new Identity(generateSecrets(random), primitives);
const relay = new Identity(generateSecrets(random), primitives);
const networkKey = random.fill(new Uint8Array(32));
const networkPublicKey = primitives.ed25519PublicKey(networkKey);

function certificateFor(clock: FakeClock, roles: string[], peerId = dialler.peerId): string {
  const times = { notBeforeMs: clock.wallNow() - 1000, notAfterMs: clock.wallNow() + 3_600_000 };
  return encodeCertificate(issueCertificate({ peerId, roles, ...times }, { networkKey, primitives, random }));
}

function rig(options: { closed?: boolean } = {}) {
  const clock = new FakeClock();
  const network = options.closed ? { networkPublicKey } : undefined;
  const guard = new LinkGuard({ recipient: relay.peerId, roles: LINK_ROLES, clock, primitives, network });
  const request = (wish: Partial<LinkSigning> & { url?: string } = {}) => {
    const { url = "https://relay.example/below", ...rest } = wish;
    const signing = { signer: dialler, role: "client" as LinkRole, recipient: relay.peerId, clock, random, primitives };
    const { address, headers } = signLink(url, { ...signing, ...rest });
    const { target: { host, port }, urlPath, tls } = address;
    const authority = port === (tls ? 443 : 80) ? host : `${host}:${port}`;
    return { method: "GET", url: `http://${authority}${urlPath}`, headers: new Headers(headers) };
  };
  return { clock, guard, request };
}

Deno.test("a signed request for a link says who dials and as what, whatever ends TLS on the way", () => {
  for (const url of ["http://127.0.0.1:8080", "https://relay.example/", "https://relay.example:444/a/b"]) {
    for (const role of ["client", "relay", "gateway"] as const) {
      const { guard, request } = rig();
      assertEquals(guard.verify(request({ url, role })), { ok: true, peerId: dialler.peerId, role });
    }
  }
});

Deno.test("a request is good once, and for a minute", () => {
  const { clock, guard, request } = rig();
  const first = request();
  assertEquals(guard.verify(first).ok, true);
  assertEquals(guard.verify(first), { ok: false, status: 401, reason: "replayed" });
  const late = request();
  clock.advance(61_000);
  assertEquals(guard.verify(late), { ok: false, status: 401, reason: "stale" });
  assertEquals(guard.verify(first), { ok: false, status: 401, reason: "stale" });
});

Deno.test("what is wrong with a request is told in a word", () => {
  const { guard, request } = rig();
  const other = new Identity(generateSecrets(random), primitives);
  const good = request();
  const rows: [string, ReturnType<typeof request>, string][] = [
    ["meant for another relay", request({ recipient: other.peerId }), "misdirected"],
    ["a role of its own making", { ...good, url: good.url.replace("client", "king") }, "wrong_role"],
    ["another role than was signed", { ...good, url: good.url.replace("client", "gateway") }, "bad_signature"],
    ["another host", { ...good, url: good.url.replace("relay.", "delay.") }, "bad_signature"],
    ["no signature", { ...good, headers: new Headers() }, "unsigned"],
    ["no URL", { ...good, url: "nonsense" }, "wrong_role"],
  ];
  for (const [name, wrong, reason] of rows) {
    const verdict = guard.verify(wrong);
    assertEquals(verdict.ok ? "" : verdict.reason, reason, name);
  }
  assertEquals(guard.verify(good).ok, true, "and none of that uses up the good one");
});

Deno.test("in a closed network the certificate must be for the dialler and its role", () => {
  const { clock, guard, request } = rig({ closed: true });
  const certificate = certificateFor(clock, ["client"]);
  assertEquals(guard.verify(request({ certificate })).ok, true);
  const reasons = [
    request(),
    request({ certificate, role: "gateway" }),
    request({ certificate: certificateFor(clock, ["client"], relay.peerId) }),
    request({ certificate: "nonsense" }),
  ].map((wrong) => guard.verify(wrong)).map((verdict) => verdict.ok ? "" : `${verdict.status} ${verdict.reason}`);
  assertEquals(reasons, ["403 no_certificate", "403 wrong_role", "403 wrong_peer", "403 malformed"]);
});

Deno.test("headers of any kind get a verdict", () => {
  const { guard, request } = rig({ closed: true });
  const good = request();
  const names = [...good.headers.keys(), CERTIFICATE_HEADER];
  fc.assert(fc.property(fc.constantFrom(...names), fc.string({ unit: "grapheme-ascii" }), (name, value) => {
    const headers = new Headers(good.headers);
    headers.set(name, value);
    assertEquals(guard.verify({ ...good, headers }).ok, false);
  }));
});
