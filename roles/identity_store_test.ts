import { assert, assertEquals, assertRejects } from "@std/assert";
import { encodeBase64 } from "@std/encoding/base64";
import { encodeCertificate, issueCertificate } from "../protocol/certificate.ts";
import { CulvertError } from "../protocol/errors.ts";
import { verifyWireGuardBinding } from "../protocol/identity.ts";
import { portablePrimitives as primitives } from "../protocol/primitives.ts";
import { clockOf } from "../protocol/clock.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { SeededRandom } from "../testing/seeded_random.ts";
import { loadCertificates, loadIdentity, loadOrCreateIdentity, storeCertificate } from "./identity_store.ts";
import { StateDirectory } from "./state.ts";
import { TempDirectory } from "../testing/temp_directory.ts";

function tools(seed = 1) {
  return { random: new SeededRandom(seed), primitives, clock: new FakeClock() };
}

Deno.test("an identity is made on first use and is the same ever after", async () => {
  using temp = new TempDirectory();
  const state = await StateDirectory.open(temp.path("state"));
  assertEquals(await loadIdentity(state, primitives), undefined);
  const first = await loadOrCreateIdentity(state, tools(1));
  assert(first.created);
  assert(verifyWireGuardBinding(first.identity.wireguardBinding(), primitives));
  const second = await loadOrCreateIdentity(await StateDirectory.open(temp.path("state")), tools(2));
  assert(!second.created);
  assertEquals(second.identity.peerId, first.identity.peerId);
  assertEquals(second.identity.secrets(), first.identity.secrets());
  assertEquals(Deno.statSync(state.pathOf("identity.json")).mode! & 0o777, 0o600);
});

Deno.test("many that start at once get the same identity, and one of them made it", async () => {
  using temp = new TempDirectory();
  const host = { performance, Date, setTimeout: (run: () => void, ms: number) => +setTimeout(run, ms), clearTimeout };
  const results = await Promise.all(Array.from({ length: 6 }, async (_, seed) => {
    const state = await StateDirectory.open(temp.path("state"));
    return await loadOrCreateIdentity(state, { ...tools(seed), clock: clockOf(host) });
  }));
  assertEquals(new Set(results.map(({ identity }) => identity.peerId)).size, 1);
  assertEquals(results.filter(({ created }) => created).length, 1);
});

Deno.test("a damaged key file is refused by name, left as it is, and never quoted", async () => {
  using temp = new TempDirectory();
  const state = await StateDirectory.open(temp.path("state"));
  const { identity } = await loadOrCreateIdentity(state, tools());
  const path = state.pathOf("identity.json");
  const good = Deno.readTextFileSync(path);
  const key = encodeBase64(identity.secrets().identityKey);
  const rows = [
    { name: "empty", text: "", rule: "it must be JSON" },
    { name: "cut short", text: good.slice(0, 150), rule: "it must be JSON" },
    { name: "begun with a zero byte", text: "\u0000" + good, rule: "it must be JSON" },
    { name: "no object", text: "7", rule: "it must have a version" },
    {
      name: "from the future",
      text: good.replace('"version": 1', '"version": 2'),
      rule: "its version must be 1, got 2",
    },
    { name: "no key", text: good.replace("identityKey", "key"), rule: '"identityKey" must be as documented' },
    { name: "short key", text: good.replace(key, key.slice(4)), rule: '"identityKey" must be as documented' },
    { name: "another key", text: good.replace(key, encodeBase64(new Uint8Array(32))), rule: "its peer id must be" },
  ];
  for (const { name, text, rule } of rows) {
    Deno.writeTextFileSync(path, text);
    for (const load of [() => loadIdentity(state, primitives), () => loadOrCreateIdentity(state, tools(3))]) {
      const error = await assertRejects(load, CulvertError, rule, name);
      assertEquals(error.code, "corrupt_file", name);
      assert(error.message.includes(path) && error.message.includes("restore it from a backup"), name);
      assert(!Deno.inspect(error, { depth: 9 }).includes(key.slice(0, 8)), name);
    }
    assertEquals(Deno.readTextFileSync(path), text, name);
  }
});

Deno.test("an identity that others may read is refused, not replaced", async () => {
  using temp = new TempDirectory();
  const state = await StateDirectory.open(temp.path("state"));
  await loadOrCreateIdentity(state, tools());
  await Deno.chmod(state.pathOf("identity.json"), 0o644);
  await assertRejects(() => loadOrCreateIdentity(state, tools()), CulvertError, "chmod 600");
});

Deno.test("certificates are kept one per network, the newer in place of the older", async () => {
  using temp = new TempDirectory();
  const clock = new FakeClock();
  const state = await StateDirectory.open(temp.path("state"));
  const { identity } = await loadOrCreateIdentity(state, tools());
  const issue = (network: number, notAfterMs: number) =>
    issueCertificate(
      { peerId: identity.peerId, roles: ["exit"], notBeforeMs: 1, notAfterMs },
      { networkKey: new Uint8Array(32).fill(network), primitives, random: new SeededRandom(notAfterMs) },
    );
  assertEquals(await loadCertificates(state), []);
  const [older, newer, other] = [issue(1, 10), issue(1, 20), issue(2, 30)];
  for (const certificate of [older, newer, other]) await storeCertificate(state, certificate, { clock });
  const kept = (await loadCertificates(state)).map(encodeCertificate);
  assertEquals(kept.sort(), [newer, other].map(encodeCertificate).sort());
  Deno.writeTextFileSync(state.pathOf(`certificate-${other.networkId}`), "nonsense");
  await assertRejects(() => loadCertificates(state), CulvertError, "it must be a certificate");
});
