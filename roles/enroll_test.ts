import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { parseCertificate, verifyCertificate } from "../protocol/certificate.ts";
import { decodeBase64 } from "../protocol/encoding.ts";
import { CulvertError } from "../protocol/errors.ts";
import { portablePrimitives as primitives } from "../protocol/primitives.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { SeededRandom } from "../testing/seeded_random.ts";
import { describeCertificate } from "./certificate_text.ts";
import { role as enroll } from "./enroll.ts";
import { loadCertificates } from "./identity_store.ts";
import { type PublicKeys, role as keys } from "./keys.ts";
import { StateDirectory } from "./state.ts";
import { TempDirectory } from "../testing/temp_directory.ts";

const DAY_MS = 86_400_000;

/** A machine with its own state directory, on which roles run and what they print is kept. */
class Machine {
  readonly clock = new FakeClock();
  readonly stateDir: string;
  readonly #seed: number;

  constructor(temp: TempDirectory, seed: number) {
    this.stateDir = temp.path(`state-${seed}`);
    this.#seed = seed;
  }

  enroll(settings: Record<string, unknown>, json = false): Promise<string[]> {
    return this.#run((context) => enroll.run(enroll.config.parse(settings), context), json);
  }

  async keys(): Promise<PublicKeys> {
    const [line] = await this.#run((context) => keys.run({}, context), true);
    return JSON.parse(line!);
  }

  keysForPeople(): Promise<string[]> {
    return this.#run((context) => keys.run({}, context), false);
  }

  async #run(work: (context: Parameters<typeof enroll.run>[1]) => Promise<void>, json: boolean): Promise<string[]> {
    const lines: string[] = [];
    const { clock, stateDir } = this;
    const random = new SeededRandom(this.#seed);
    const { signal } = new AbortController();
    await work({ clock, stateDir, random, signal, json, print: (line) => void lines.push(line) });
    return lines;
  }
}

/** A network's owner and one peer. */
async function network(temp: TempDirectory) {
  const owner = new Machine(temp, 1);
  const peer = new Machine(temp, 2);
  const keyFile = temp.path("network.key");
  const [line] = await owner.enroll({ newNetwork: keyFile }, true);
  const { networkId, publicKey } = JSON.parse(line!) as { networkId: string; publicKey: string };
  return { owner, peer, keyFile, networkId, publicKey };
}

Deno.test("keys are made once, shown with what is public, and nothing else is printed", async () => {
  using temp = new TempDirectory();
  const machine = new Machine(temp, 1);
  const first = await machine.keys();
  assert(first.created);
  assertEquals({ ...await machine.keys(), created: true }, first);
  const lines = await machine.keysForPeople();
  assertEquals(lines.length, 4);
  for (const shown of [first.peerId, first.publicKey, first.wireguardPublicKey, first.stateDir]) {
    assert(lines.some((line) => line.includes(shown)));
  }
  const { identityKey, wireguardKey } = JSON.parse(Deno.readTextFileSync(`${machine.stateDir}/identity.json`));
  const printed = lines.join("\n") + JSON.stringify(first);
  assert(!printed.includes(identityKey) && !printed.includes(wireguardKey));
});

Deno.test("from a new network to a peer that belongs to it", async () => {
  using temp = new TempDirectory();
  const { owner, peer, keyFile, networkId, publicKey } = await network(temp);
  assertEquals(Deno.statSync(keyFile).mode! & 0o777, 0o600);
  const { peerId } = await peer.keys();
  const out = temp.path("exit.cert");
  const settings = { networkKey: keyFile, peer: peerId, role: ["exit", "client"], region: "eu", days: 90, out };
  assertEquals(await owner.enroll(settings), [`Wrote ${out}`]);

  const shown = await peer.enroll({ install: out, networkPublicKey: publicKey });
  assertStringIncludes(shown[0]!, `certificate-${networkId}`);
  assertStringIncludes(shown.join("\n"), "for another 90 days");
  assertStringIncludes(shown.join("\n"), "signature    good");

  const [certificate] = await loadCertificates(await StateDirectory.open(peer.stateDir));
  const text = Deno.readTextFileSync(out).trim();
  assertEquals(certificate, parseCertificate(text));
  const check = { networkPublicKey: decodeBase64(publicKey)!, peerId, role: "exit", region: "eu", primitives };
  assert(verifyCertificate(text, { ...check, nowMs: peer.clock.wallNow() }).ok);
  const later = verifyCertificate(text, { ...check, nowMs: peer.clock.wallNow() + 90 * DAY_MS });
  assertEquals(later, { ok: false, reason: "expired" });
});

Deno.test("a certificate is printed alone on its line, and as JSON with what it says", async () => {
  using temp = new TempDirectory();
  const { owner, peer, keyFile, networkId } = await network(temp);
  const { peerId } = await peer.keys();
  const settings = { networkKey: keyFile, peer: peerId, role: ["exit"] };
  const lines = await owner.enroll(settings);
  assertEquals(lines.length, 1);
  assertEquals(parseCertificate(lines[0]!)?.peerId, peerId);
  const [json] = await owner.enroll(settings, true);
  const { certificate, ...claims } = JSON.parse(json!);
  assertEquals(parseCertificate(certificate)?.serial, claims.serial);
  assertEquals([claims.networkId, claims.peerId, claims.roles, claims.region], [networkId, peerId, ["exit"], "*"]);
  assertEquals(claims.notAfterMs - claims.notBeforeMs, 365 * DAY_MS);
});

Deno.test("a certificate is not installed when it is another's, expired, forged or none", async () => {
  using temp = new TempDirectory();
  const { owner, peer, keyFile, publicKey } = await network(temp);
  const { peerId } = await peer.keys();
  const [mine] = await owner.enroll({ networkKey: keyFile, peer: peerId, role: ["exit"], days: 1 });
  const other = await new Machine(temp, 3).keys();
  const [others] = await owner.enroll({ networkKey: keyFile, peer: other.peerId, role: ["exit"] });
  const [anotherNetwork] = await new Machine(temp, 4).enroll({ newNetwork: temp.path("other.key") }, true);
  const networkPublicKey = JSON.parse(anotherNetwork!).publicKey;
  const rows = [
    { settings: { install: others }, message: "must be for this peer" },
    { settings: { install: mine, networkPublicKey }, message: "must be signed by the network" },
    { settings: { install: temp.path("none") }, message: "must be its text or a file, got neither" },
    { settings: { install: mine!.slice(0, -1) }, message: "must be as `culvert enroll` issued it" },
  ];
  for (const { settings, message } of rows) await assertRejects(() => peer.enroll(settings), CulvertError, message);
  const foreign = (await peer.enroll({ show: mine, networkPublicKey })).join("\n");
  assertStringIncludes(foreign, "signature    BAD");
  await peer.enroll({ install: mine, networkPublicKey: publicKey });
  peer.clock.advance(DAY_MS);
  await assertRejects(() => peer.enroll({ install: mine }), CulvertError, "must not have expired");
});

Deno.test("nothing that exists is overwritten", async () => {
  using temp = new TempDirectory();
  const { owner, peer, keyFile } = await network(temp);
  const before = Deno.readTextFileSync(keyFile);
  await assertRejects(() => owner.enroll({ newNetwork: keyFile }), CulvertError, "never overwritten");
  assertEquals(Deno.readTextFileSync(keyFile), before);
  const { peerId } = await peer.keys();
  const settings = { networkKey: keyFile, peer: peerId, role: ["exit"], out: keyFile };
  await assertRejects(() => owner.enroll(settings), CulvertError, "never overwritten");
  assertEquals(Deno.readTextFileSync(keyFile), before);
});

Deno.test("a network key that is missing, damaged or readable by others is refused", async () => {
  using temp = new TempDirectory();
  const { owner, peer, keyFile } = await network(temp);
  const { peerId } = await peer.keys();
  const issue = (networkKey: string) => owner.enroll({ networkKey, peer: peerId, role: ["exit"] });
  await assertRejects(() => issue(temp.path("none")), CulvertError, "must be a file, got nothing");
  const good = Deno.readTextFileSync(keyFile);
  const damaged = good.replace(/"networkKey": "[^"]*"/, `"networkKey": "${btoa("\0".repeat(32))}"`);
  Deno.writeTextFileSync(keyFile, damaged);
  await assertRejects(() => issue(keyFile), CulvertError, "its network id must be that of its key");
  Deno.chmodSync(keyFile, 0o644);
  await assertRejects(() => issue(keyFile), CulvertError, "chmod 600");
});

Deno.test("settings that do not go together are named", () => {
  const peer = "a".repeat(26);
  const rows: { settings: Record<string, unknown>; path: string; message: string }[] = [
    { settings: {}, path: "newNetwork", message: "given, or --network-key" },
    { settings: { newNetwork: "a", show: "b" }, path: "show", message: "given alone" },
    { settings: { networkKey: "a", role: ["exit"] }, path: "peer", message: "given with --network-key" },
    { settings: { networkKey: "a", peer }, path: "role", message: "given at least once" },
    { settings: { networkKey: "a", peer: "me", role: ["x"] }, path: "peer", message: "a peer id of 26 characters" },
    { settings: { networkKey: "a", peer, role: ["x"], days: 0 }, path: "days", message: "" },
    { settings: { show: "a", networkPublicKey: "abc" }, path: "networkPublicKey", message: "32 bytes in base64" },
  ];
  for (const { settings, path, message } of rows) {
    const { error } = enroll.config.safeParse(settings);
    const issue = error?.issues.find((issue) => issue.path[0] === path);
    assert(issue, JSON.stringify(settings));
    assertStringIncludes(issue.message, message);
  }
});

Deno.test("a certificate is told in words that fit 80 columns", () => {
  const claims = {
    networkId: "n".repeat(26),
    peerId: "p".repeat(26),
    roles: Array.from({ length: 16 }, (_, at) => `role-number-${at}`),
    region: "*",
    notBeforeMs: Date.UTC(2026, 0, 1),
    notAfterMs: Date.UTC(2026, 3, 1),
    serial: "s".repeat(16),
  };
  const tell = (nowMs: number) => describeCertificate(claims, { nowMs, signature: "unchecked" });
  const lines = tell(Date.UTC(2026, 2, 31, 12));
  assert(lines.every((line) => line.length <= 80 && line === line.trimEnd()));
  const text = lines.join("\n");
  for (
    const part of ["anywhere", "2026-01-01 00:00 UTC to 2026-04-01 00:00 UTC", "for another 12 hours", "role-number-15"]
  ) {
    assertStringIncludes(text, part);
  }
  const day = 86_400_000;
  for (
    const [leftMs, words] of [
      [90 * day - 2_000, "another 90 days"],
      [1.4 * day, "another 34 hours"],
      [7_000_000, "another 2 hours"],
      [5_400_000 - 1, "another 90 minutes"],
      [30_000, "another 1 minute"],
    ] as const
  ) {
    assertStringIncludes(tell(claims.notAfterMs - leftMs).join("\n"), words);
  }
  assertStringIncludes(tell(Date.UTC(2025, 11, 30)).join("\n"), "not yet: it begins in 2 days");
  assertStringIncludes(tell(Date.UTC(2026, 3, 11)).join("\n"), "EXPIRED 10 days ago");
});
