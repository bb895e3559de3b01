import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { hostPrimitives } from "../../net/host_primitives.ts";
import { clockOf } from "../../protocol/clock.ts";
import type { SessionOffer } from "../../protocol/control/commands.ts";
import { peerKeysOf } from "../../protocol/control/peer_keys.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { PeerKeys } from "../../protocol/fields.ts";
import { generateSecrets, Identity } from "../../protocol/identity.ts";
import { silentLog } from "../../protocol/log.ts";
import { randomOf } from "../../protocol/random.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { startRole } from "../role.ts";
import { role } from "../admin.ts";
import { exportConfig } from "./export_output.ts";

const random = randomOf(crypto);
const clock = clockOf(globalThis);
const DAY_MS = 86_400_000;

function newKeys(): PeerKeys {
  return peerKeysOf(new Identity(generateSecrets(random), hostPrimitives()));
}

const [exit, supernode] = [newKeys(), newKeys()];
const packets = {
  addresses: ["10.201.0.2/32"],
  gateways: ["10.201.0.1"],
  dns: ["10.201.0.1"],
  mtu: 1420,
  endpoint: "192.0.2.1:40001",
};
const OFFER: SessionOffer = {
  sessionId: "A".repeat(22),
  exit,
  region: "eu",
  expiresAtMs: Math.round(clock.wallNow()) + 30 * DAY_MS,
  packets,
};

/** A supernode that grants whatever the test says; its answers are those of `admin_api.ts`. */
class PlayedApi implements AsyncDisposable {
  readonly #directory = new TempDirectory();
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly asked: string[] = [];

  constructor(offer: SessionOffer) {
    this.#server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
      const { pathname } = new URL(request.url);
      this.asked.push(`${request.method} ${pathname}`);
      await request.body?.cancel();
      if (pathname === "/v1/status") return Response.json(STATUS);
      if (request.method === "GET") return Response.json({ total: 0, sessions: [] });
      return Response.json({ offer });
    });
  }

  /** What is printed. */
  async export(words: object = {}): Promise<string> {
    const admin = `http://127.0.0.1:${this.#server.addr.port}`;
    const lines: string[] = [];
    const settings = { action: "export-config", peer: "phone", admin, adminToken: "T", ...words };
    const print = (line: string) => void lines.push(line);
    const running = startRole(role, role.config.parse(settings), { stateDir: this.stateDir, print, json: true });
    await running.done;
    return lines.join("\n");
  }

  get stateDir(): string {
    return this.#directory.path("state");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
    this.#directory[Symbol.dispose]();
  }
}

const STATUS = {
  supernodeId: supernode.peerId,
  region: "eu",
  version: "0.1.0",
  upMs: 0,
  draining: false,
  streams: 0,
  exits: 0,
  sessions: 0,
  links: 0,
  blocks: 0,
};

const other = newKeys();
const lies: readonly { name: string; offer: SessionOffer; words?: object }[] = [
  { name: "an exit whose key is another's", offer: { ...OFFER, exit: { ...exit, wireguardKey: other.wireguardKey } } },
  { name: "another exit than the one asked for", offer: OFFER, words: { exit: other.peerId } },
  { name: "no packets", offer: { ...OFFER, packets: undefined } as SessionOffer },
  { name: "a tunnel that ends on the way", offer: { ...OFFER, packets: { ...packets, terminatedBy: supernode } } },
  { name: "a tunnel that does not end on the way", offer: OFFER, words: { relay: "terminate" } },
  {
    name: "a tunnel that ends at somebody else",
    offer: { ...OFFER, packets: { ...packets, terminatedBy: other } },
    words: { relay: "terminate" },
  },
  {
    name: "a tunnel that ends at a key that is not the supernode's",
    offer: { ...OFFER, packets: { ...packets, terminatedBy: { ...supernode, wireguardKey: other.wireguardKey } } },
    words: { relay: "terminate" },
  },
];
for (const { name, offer, words } of lies) {
  Deno.test(`${name} makes no file`, async () => {
    await using api = new PlayedApi(offer);
    const error = await assertRejects(() => api.export(words), CulvertError);
    assertStringIncludes(error.message, "what was not asked for");
  });
}

Deno.test("what was granted as it was asked for makes one", async () => {
  for (const [offer, words] of [[OFFER, {}], [lies[3]!.offer, { relay: "terminate" }]] as const) {
    await using api = new PlayedApi(offer);
    assertStringIncludes(JSON.parse(await api.export(words)).config, "Endpoint = 192.0.2.1:40001");
  }
});

Deno.test("what was kept and is damaged is said, and nothing is asked for", async () => {
  await using api = new PlayedApi(OFFER);
  await api.export();
  await Deno.writeTextFile(`${api.stateDir}/peers/phone/session.json`, "{");
  api.asked.length = 0;
  const error = await assertRejects(() => api.export(), CulvertError);
  assertStringIncludes(error.message, "peers/phone/session.json");
  assert(!api.asked.includes("POST /v1/static-sessions"));
});

Deno.test("a terminal is not shown the key", async () => {
  const context = { clock, random, log: silentLog, json: false, stateDir: "/nonexistent" };
  const settings = role.config.parse({ action: "export-config", peer: "phone" });
  const exporting = () => exportConfig(settings, context as Parameters<typeof exportConfig>[1], () => true);
  const error = await assertRejects(exporting, CulvertError);
  assertStringIncludes(error.message, "--qr or --out must be given on a terminal");
  assertEquals(error.code, "bad_config");
});
