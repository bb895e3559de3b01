import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Asker, status } from "../edge/fixtures/directory.ts";
import { DirectoryClient } from "../net/directory_client.ts";
import { encodeBase64 } from "../protocol/encoding.ts";
import { clockOf } from "../protocol/clock.ts";
import { portablePrimitives as primitives } from "../protocol/primitives.ts";
import { parseTarget } from "../protocol/stream.ts";
import { FakeClock, settle } from "../testing/fake_clock.ts";
import { LogCollector } from "../testing/log_collector.ts";
import { testWith } from "../testing/requirements.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { makeTlsCertificate } from "../testing/tls_certificate.ts";
import { role } from "./base.ts";
import { FakeHost } from "./fixtures/fake_host.ts";
import { main } from "./main.ts";
import { type StartOptions, startRole } from "./role.ts";

const one = new Asker(1);

function start(settings: Record<string, unknown>, options: StartOptions = {}) {
  return startRole(
    role,
    role.config.parse({ listen: "127.0.0.1:0", kv: ":memory:", adminApi: false, ...settings }),
    options,
  );
}

function clientOf(url: string, client?: Deno.HttpClient): DirectoryClient {
  return new DirectoryClient({
    bases: [new URL(url)],
    signer: one.identity,
    clock: clockOf(globalThis),
    random: one.random,
    primitives,
    ...(client && { fetch: (request) => fetch(request, { client }) }),
  });
}

Deno.test("base serves the directory over HTTP, knows who asks, and stops when told to", async () => {
  await using base = start({});
  const { addresses } = await base.ready;
  using client = clientOf(`http://${addresses.listen}`);
  await client.register(one.supernode());
  assertEquals(await client.heartbeat([{ supernodeId: one.id, ...status() }]), { unknown: [], nextWithinMs: 10_000 });
  assertEquals((await client.candidates()).map(({ supernodeId }) => supernodeId), [one.id]);
  await base.stop();
});

Deno.test("base serves where it can keep nothing, and says that culvert admin is not told of it", async () => {
  using directory = new TempDirectory();
  const file = directory.path("file");
  await Deno.writeTextFile(file, "");
  const log = new LogCollector();
  await using base = start({ adminApi: true }, { log, stateDir: `${file}/state` });
  const { addresses } = await base.ready;
  assertEquals((await fetch(`http://${addresses.listen}/healthz`).then((answer) => answer.json())).status, "ok");
  assert(log.lines.some(({ level, message }) => level === "warn" && message.includes("culvert admin")));
});

const listening = [
  { what: "others can reach it, and it has no name", settings: { listen: "0.0.0.0:0" }, warns: true },
  {
    what: "others can reach it by its name",
    settings: { listen: "0.0.0.0:0", authority: ["base.example"] },
    warns: false,
  },
  { what: "it is only reached from here", settings: {}, warns: false },
];
for (const { what, settings, warns } of listening) {
  Deno.test(`base ${warns ? "warns" : "does not warn"} of taking what is meant for other bases when ${what}`, async () => {
    const log = new LogCollector();
    await using base = start(settings, { log });
    await base.ready;
    assertEquals(log.lines.some(({ message }) => message.includes("--authority")), warns);
  });
}

Deno.test("base keeps its records in the state directory, where the next one finds them", async () => {
  using directory = new TempDirectory();
  const stateDir = directory.path("state");
  {
    await using base = start({ kv: undefined }, { stateDir });
    using client = clientOf(`http://${(await base.ready).addresses.listen}`);
    await client.register(one.supernode());
  }
  await using base = start({ kv: undefined }, { stateDir });
  using client = clientOf(`http://${(await base.ready).addresses.listen}`);
  assertEquals((await client.candidates()).map(({ supernodeId }) => supernodeId), [one.id]);
  assert((await Deno.stat(`${stateDir}/base.kv`)).isFile);
});

testWith(
  { tools: ["openssl"] },
  "base takes up a renewed certificate, but no half of one, without a restart",
  async () => {
    using folder = new TempDirectory();
    const old = await makeTlsCertificate(folder, "old");
    const renewed = await makeTlsCertificate(folder, "renewed");
    const files = { certFile: folder.path("served.crt"), keyFile: folder.path("served.key") };
    await Deno.copyFile(old.certFile, files.certFile);
    await Deno.copyFile(old.keyFile, files.keyFile);
    const clock = new FakeClock();
    const log = new LogCollector();
    await using base = start(files, { clock, log });
    const { addresses } = await base.ready;

    /** Whether somebody who trusts only that certificate gets through. */
    async function isServed({ certFile }: { readonly certFile: string }): Promise<boolean> {
      using client = Deno.createHttpClient({ caCerts: [await Deno.readTextFile(certFile)] });
      const request = fetch(`https://${addresses.listen}/healthz`, { client });
      return await request.then(async (answer) => (await answer.json()).status === "ok", () => false);
    }

    assertEquals([await isServed(old), await isServed(renewed)], [true, false]);
    await Deno.copyFile(renewed.certFile, files.certFile);
    const refused = log.waitFor("The certificate could not be renewed: the one before stays");
    clock.advance(10_000);
    assertStringIncludes(String((await refused).fields.error), "--key-file must be that of the certificate");
    assertEquals([await isServed(old), await isServed(renewed)], [true, false]);
    await Deno.copyFile(renewed.keyFile, files.keyFile);
    const taken = log.waitFor("The certificate was renewed");
    while (clock.pendingTimers === 0) await settle();
    clock.advance(10_000);
    await taken;
    assertEquals([await isServed(old), await isServed(renewed)], [false, true]);
  },
);

Deno.test("base says so when it is neither encrypted nor hidden", async () => {
  const log = new LogCollector();
  await using base = start({ listen: "0.0.0.0:0" }, { log });
  assert(parseTarget((await base.ready).addresses.listen!));
  assertStringIncludes(log.lines[0]!.message, "Base is not encrypted");
});

const mistakes: readonly (readonly [string, readonly string[], string])[] = [
  [
    "a network key that is none",
    ["--network-public-key", "abc"],
    "--network-public-key must be a public key: 32 bytes in base64",
  ],
  ["half a certificate", ["--cert-file", "x"], "must be given together"],
  ["a store over plain HTTP", ["--kv", "http://kv.example"], "https://"],
  ["a name that is a URL", ["--authority", "https://base.example/"], "a host or host:port"],
];
for (const [what, args, says] of mistakes) {
  Deno.test(`${what} does not start base`, async () => {
    const host = new FakeHost();
    const code = await main(["base", "--listen", "127.0.0.1:0", ...args], host);
    assert(code === 1 || code === 2, `${code}`);
    assertStringIncludes(host.complaints + host.logged, says);
  });
}

Deno.test("a closed base takes the network's public key as enroll shows it", async () => {
  const networkKey = encodeBase64(primitives.ed25519PublicKey(new Uint8Array(32).fill(7)));
  await using base = start({ networkPublicKey: networkKey });
  using client = clientOf(`http://${(await base.ready).addresses.listen}`);
  const error = await client.register(one.supernode()).catch((error) => error);
  assertEquals(error.problem?.code, "no_certificate");
});
