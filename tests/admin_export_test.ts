/**
 * `culvert admin export-config` as an administrator types it, at a supernode that runs with a real relay. The exit is
 * played: that packets pass with such a file is tried in `tests/netns/stock_client_test.ts`.
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import decodeQR from "qr/decode.js";
import { encodeBase64 } from "../protocol/encoding.ts";
import { networkIdOf, parseCertificate } from "../protocol/certificate.ts";
import { clockOf } from "../protocol/clock.ts";
import { parseQuickConfig } from "../protocol/wireguard/quick_config.ts";
import { formatIp } from "../protocol/ip.ts";
import { formatTarget } from "../protocol/stream.ts";
import { role as admin } from "../roles/admin.ts";
import { loadOrCreateIdentity, storeCertificate } from "../roles/identity_store.ts";
import { FakeHost } from "../roles/fixtures/fake_host.ts";
import type { PlayedPeer } from "../roles/fixtures/played_peer.ts";
import { pictureOf } from "../roles/wireguard/fixtures/qr_picture.ts";
import { runRole } from "../roles/role.ts";
import { StateDirectory } from "../roles/state.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { eventually } from "../testing/waiting.ts";
import { GRANT, startPacketExit } from "./control/fixtures/packet_peers.ts";
import { primitives, random } from "./fixtures/attacked_supernode.ts";
import { certify, networkPublicKey } from "./fixtures/closed_network.ts";
import { ADMIN_TOKEN, Network, type Started } from "./fixtures/control_network.ts";

const clock = clockOf(globalThis);

/** What a command says, with the state directory of the administrator. */
async function say(words: readonly string[], stateDir: string) {
  const fake = new FakeHost({ CULVERT_ADMIN_TOKEN: ADMIN_TOKEN });
  const host = { ...fake, clock, random };
  const code = await runRole(admin, [...words, "--state-dir", stateDir], { host });
  return { code, out: fake.out, said: (fake.logged + fake.complaints).replaceAll('\\"', '"') };
}

/** A supernode with an exit that carries packets, and an administrator with a directory of her own. */
class Desk implements AsyncDisposable {
  readonly network: Network;
  readonly directory = new TempDirectory();
  #supernode: Started | undefined;
  #exit: PlayedPeer | undefined;

  constructor(network = new Network()) {
    this.network = network;
  }

  async open(settings: object = {}): Promise<this> {
    this.#supernode = await this.network.startSupernode("north", { relay: true, ...settings });
    return this;
  }

  /** Settles when it is known that the exit carries packets. */
  async withExit(certificate?: (peerId: string) => string): Promise<this> {
    this.#exit = await startPacketExit(this.#supernode!, "north", { ...certificate && { certificate } });
    await eventually("an exit with packets", async () => {
      const { peers } = JSON.parse((await this.admin("peers", "--json")).out);
      return peers.some(({ telemetry }: { telemetry?: { packets?: object } }) => telemetry?.packets);
    });
    return this;
  }

  get exit(): PlayedPeer {
    return this.#exit!;
  }

  get stateDir(): string {
    return this.directory.path("admin");
  }

  admin(...words: string[]) {
    return say([...words, "--admin", `http://${this.#supernode!.addresses["admin"]}`], this.stateDir);
  }

  async exported(
    ...words: string[]
  ): Promise<{ peerId: string; sessionId: string; expiresAtMs: number; config: string }> {
    const { code, out, said } = await this.admin("export-config", "--peer", "phone", "--json", ...words);
    assertEquals([code, said], [0, ""]);
    return JSON.parse(out);
  }

  // deno-lint-ignore no-explicit-any -- as `admin` of the network
  async sessions(): Promise<any[]> {
    return JSON.parse((await this.admin("sessions", "--json")).out).sessions;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#exit?.[Symbol.asyncDispose]();
    await this.network[Symbol.asyncDispose]();
    this.directory[Symbol.dispose]();
  }
}

async function openDesk(): Promise<Desk> {
  return await (await new Desk().open()).withExit();
}

Deno.test("an exported file has all that a stock client needs, and says what it is", async () => {
  await using desk = await openDesk();
  const { out, code, said } = await desk.admin("export-config", "--peer", "phone", "--days", "2");
  assertEquals([code, said], [0, ""]);
  const { peerId, sessionId, expiresAtMs, config } = await desk.exported();
  assertEquals(out, config);
  const [session] = await desk.sessions();
  assertEquals([session.sessionId, session.clientPeerId, session.name], [sessionId, peerId, "phone"]);
  const table = (await desk.admin("sessions")).out;
  assertMatch(table, new RegExp(`\n${sessionId}  static  phone .* ${session.relayPort} `));
  for (const line of table.split("\n")) assert(line.length <= 80, line);
  assert(Math.abs(expiresAtMs - Date.now() - 2 * 86_400_000) < 60_000);
  const { privateKey, addresses, dnsServers, mtu, peers: [peer], ...rest } = parseQuickConfig(config);
  assertEquals(addresses.map(({ address, bits }) => `${formatIp(address)}/${bits}`), GRANT.addresses);
  assertEquals([dnsServers.map(formatIp), mtu], [GRANT.dns, GRANT.mtu]);
  assertEquals([rest.postUp, rest.table], [[], "auto"]);
  assertEquals(peer!.publicKey, desk.exit.identity.wireguardPublicKey);
  assertEquals(formatTarget(peer!.endpoint!), `127.0.0.1:${session.relayPort}`);
  assertEquals(peer!.persistentKeepaliveS, 25);
  assertMatch(config, /\nAllowedIPs = 0\.0\.0\.0\/0, ::\/0\n/);
  const comments = config.split("\n").filter((line) => line.startsWith("#")).join("\n");
  for (const told of ["phone", new Date(expiresAtMs).toISOString().slice(0, 10), peerId, sessionId, "Relay: blind"]) {
    assertStringIncludes(comments, told);
  }
  const [setup] = desk.exit.heard;
  assert(setup?.kind === "SETUP_EXIT");
  assertEquals(setup.payload.clientWireguardKey, encodeBase64(primitives.x25519PublicKey(privateKey!)));
});

Deno.test("a device is the same for good, and its file the same while the session lives", async () => {
  await using desk = await openDesk();
  const first = await desk.exported();
  assertEquals(await desk.exported(), first);
  assertEquals((await desk.sessions()).length, 1);
  const keyOf = ({ config }: { config: string }) => /^PrivateKey = .*$/m.exec(config)![0];
  assertEquals((await desk.admin("end", first.sessionId)).code, 0);
  const second = await desk.exported();
  assert(second.sessionId !== first.sessionId);
  assertEquals([second.peerId, keyOf(second)], [first.peerId, keyOf(first)]);
  const third = await desk.exported("--renew");
  assertEquals([third.peerId, keyOf(third)], [first.peerId, keyOf(first)]);
  assertEquals((await desk.sessions()).map(({ sessionId }) => sessionId), [third.sessionId]);
  const { peerId } = JSON.parse((await desk.admin("export-config", "--peer", "router", "--json")).out);
  assert(peerId !== first.peerId);
});

Deno.test("what is asked for anew while a session lives takes --renew, and is told so", async () => {
  await using desk = await openDesk();
  await desk.exported("--days", "5");
  assertEquals((await desk.exported("--days", "5")).config, (await desk.exported()).config);
  const { code, out, said } = await desk.admin("export-config", "--peer", "phone", "--days", "6", "--region", "north");
  assertEquals([code, out], [2, ""]);
  assertStringIncludes(said, "--days must be as it was asked for, 5, got 6");
  assertStringIncludes(said, "--renew must be given");
  const { expiresAtMs } = await desk.exported("--renew", "--days", "6", "--exit", desk.exit.peerId);
  assert(expiresAtMs > Date.now() + 5.9 * 86_400_000);
  await desk.exported("--exit", desk.exit.peerId);
});

Deno.test("the key is in a file that nobody else may read, and is written over no other", async () => {
  await using desk = await openDesk();
  const file = desk.directory.path("phone.conf");
  const words = ["export-config", "--peer", "phone", "--out", file];
  const { code, out, said } = await desk.admin(...words);
  assertEquals([code, said], [0, ""]);
  const text = await Deno.readTextFile(file);
  assertEquals(text, (await desk.exported()).config);
  assertEquals((await Deno.stat(file)).mode! & 0o777, 0o600);
  for (const name of ["identity.json", "session.json"]) {
    assertEquals((await Deno.stat(`${desk.stateDir}/peers/phone/${name}`)).mode! & 0o777, 0o600, name);
  }
  const key = /^PrivateKey = (.*)$/m.exec(text)![1]!;
  assert(!out.includes(key));
  assert(!(await Deno.readTextFile(`${desk.stateDir}/peers/phone/session.json`)).includes(key));
  assertEquals((await desk.admin(...words, "--renew")).code, 0);
  assert(await Deno.readTextFile(file) !== text);
  const told = JSON.parse((await desk.admin(...words, "--json")).out);
  assertEquals([told.file, told.config], [file, undefined]);
  const other = await desk.admin("export-config", "--peer", "router", "--out", file);
  assertEquals(other.code, 1);
  assertStringIncludes(other.said, "is not a file of this device");
  assertEquals((await desk.sessions()).length, 1, "nothing was asked for");
});

Deno.test("the code that a phone scans is the file without its comments, and fits 80 columns", async () => {
  await using desk = await openDesk();
  const { out } = await desk.admin("export-config", "--peer", "phone", "--qr");
  // deno-lint-ignore no-control-regex -- the colours are control characters
  const lines = out.split("\n").filter((line) => /^\x1b\[/.test(line));
  const text = decodeQR(pictureOf(lines));
  const { config, peerId, sessionId } = await desk.exported();
  assertEquals(text, config.slice(config.indexOf("[Interface]")));
  // deno-lint-ignore no-control-regex -- as above
  for (const line of lines) assert([...line.replace(/\x1b\[[\d;]*m/g, "")].length <= 80);
  for (const told of [peerId, sessionId, "Scan from QR code"]) assertStringIncludes(out, told);
});

Deno.test("in a closed network a device takes a certificate, and is told how to come by it", async () => {
  await using desk = new Desk(
    new Network({
      async prepare(stateDir, role) {
        const state = await StateDirectory.open(stateDir);
        const signal = new AbortController().signal;
        const { identity: { peerId } } = await loadOrCreateIdentity(state, { random, primitives, clock, signal });
        const certificate = parseCertificate(certify({ peerId, nowMs: Date.now(), roles: [role] }))!;
        await storeCertificate(state, certificate, { clock });
        return { networkPublicKey: encodeBase64(networkPublicKey) };
      },
    }),
  );
  await desk.open();
  const { networkId } = JSON.parse((await desk.admin("status", "--json")).out);
  assertEquals(networkId, networkIdOf(networkPublicKey, primitives));
  const words = ["export-config", "--peer", "phone", "--days", "3"];
  const without = await desk.admin(...words, "--qr");
  assertEquals([without.code, without.out], [1, ""]);
  const [, peerId] =
    /culvert enroll --network-key network\.key --peer ([a-z2-7]{26}) --role client --days 3 --out phone\.cert -- /
      .exec(without.said)!;
  assertStringIncludes(without.said, "culvert admin export-config --peer phone --days 3 --qr --cert phone.cert");
  const cert = (terms: Partial<Parameters<typeof certify>[0]>) =>
    certify({ peerId: peerId!, nowMs: Date.now(), roles: ["client"], ...terms });
  const wrongs = [
    { certificate: cert({ roles: ["exit"] }), says: "got one for exit" },
    { certificate: cert({ peerId: "a".repeat(26) }), says: "it must be for this peer" },
    { certificate: cert({ isOfOtherNetwork: true }), says: "--cert must be of the network" },
    { certificate: "nonsense", says: "must be its text or a file" },
  ];
  for (const { certificate, says } of wrongs) {
    const { code, said } = await desk.admin(...words, "--cert", certificate);
    assert(code !== 0);
    assertStringIncludes(said, says);
  }
  const file = desk.directory.path("phone.cert");
  await Deno.writeTextFile(file, cert({ notAfterMs: Date.now() + 86_400_000 }));
  const withoutExit = await desk.admin(...words, "--cert", file);
  assertStringIncludes(withoutExit.said, "Cannot grant a session: ");
  await desk.withExit((peerId) => certify({ peerId, nowMs: Date.now(), roles: ["exit"] }));
  const granted = await desk.exported("--days", "3");
  assertEquals(granted.peerId, peerId);
  assert(granted.expiresAtMs <= Date.now() + 86_400_000, "not beyond the certificate");
  const [setup] = desk.exit.heard;
  assert(setup?.kind === "SETUP_EXIT");
  assertEquals(setup.payload.clientProof?.certificate, (await Deno.readTextFile(file)).trim());
});

Deno.test("what an administrator gets wrong is told before anything is asked for", async (t) => {
  await using desk = await new Desk().open();
  const rows = [
    { name: "no name", words: [], code: 2, says: "--peer must be given" },
    { name: "a name that is a path", words: ["--peer", "../x"], code: 2, says: "lower-case letters" },
    { name: "an exit that is none", words: ["--peer", "phone", "--exit", "x"], code: 2, says: "26 characters" },
    {
      name: "a certificate nobody needs",
      words: ["--peer", "phone", "--cert", certify({ peerId: "a".repeat(26), nowMs: 0 })],
      code: 2,
      says: "this network is open",
    },
    { name: "no exit that carries packets", words: ["--peer", "phone"], code: 1, says: "Cannot grant a session" },
  ];
  for (const { name, words, code, says } of rows) {
    await t.step(name, async () => {
      const answer = await desk.admin("export-config", ...words);
      assertEquals([answer.code, answer.out], [code, ""]);
      assertStringIncludes(answer.said, says);
    });
  }
});
