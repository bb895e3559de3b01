/**
 * A supernode of a closed network that has been captured: it has its certificate and its key, and does with what passes
 * through it whatever it likes. It can cut and delay. It cannot put itself in an exit's or a client's place, read what
 * they say, or change it unnoticed.
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { FakeSupernode } from "../net/fixtures/fake_supernode.ts";
import { parseCertificate } from "../protocol/certificate.ts";
import { clockOf } from "../protocol/clock.ts";
import type { SessionOffer, SetupExit } from "../protocol/control/commands.ts";
import { peerKeysOf } from "../protocol/control/peer_keys.ts";
import { encodeBase64, encodeBase64Url } from "../protocol/encoding.ts";
import type { PeerKeys } from "../protocol/fields.ts";
import type { Identity } from "../protocol/identity.ts";
import type { Stream } from "../protocol/stream.ts";
import { role as client } from "../roles/client.ts";
import { role as exit } from "../roles/exit.ts";
import { loadOrCreateIdentity, storeCertificate } from "../roles/identity_store.ts";
import { type Role, type RunningRole, startRole } from "../roles/role.ts";
import { StateDirectory } from "../roles/state.ts";
import { LogCollector } from "../testing/log_collector.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { newIdentity, primitives, random } from "./fixtures/attacked_supernode.ts";
import { certify, closed, networkPublicKey } from "./fixtures/closed_network.ts";
import { hello } from "./fixtures/control_network.ts";

const clock = clockOf(globalThis);
const { signal } = new AbortController();
const newId = () => encodeBase64Url(random.fill(new Uint8Array(16)));

function keysOf(identity: Identity, roles?: string[]): PeerKeys {
  return peerKeysOf(identity, roles && certify({ peerId: identity.peerId, nowMs: clock.wallNow(), roles }));
}

/** A captured supernode with an exit and a client, and what it lies about. */
class Scene implements AsyncDisposable {
  readonly identity = newIdentity();
  readonly supernode: FakeSupernode;
  readonly log = new LogCollector();
  readonly #temp = new TempDirectory();
  readonly #roles: RunningRole[] = [];
  /** What became of the last SETUP_EXIT: "applied", or the exit's refusal. */
  setup = "";
  lieToClient = (offer: SessionOffer): SessionOffer => offer;
  lieToExit = (setup: SetupExit): SetupExit => setup;

  constructor() {
    const { identity } = this;
    const certificate = certify({ peerId: identity.peerId, nowMs: clock.wallNow(), roles: ["supernode"] });
    this.supernode = new FakeSupernode({ identity, network: closed, certificate: () => certificate });
    this.supernode.answer = async ({ what, requestId }, { peerId }) => {
      const response = { type: "info.response", requestId } as const;
      if (what === "sessions") return { ...response, what, sessionIds: [] };
      if (what !== "exit") return { ...response, what: "end_session" };
      const session = await this.#setUp(peerId);
      return session ? { ...response, what, session } : { ...response, what: "failed", reason: "no_exit" };
    };
  }

  async startExit(): Promise<string> {
    const linked = new Promise<string>((resolve) => this.supernode.onLink = resolve);
    await this.#start(exit, { region: "there" });
    return await linked;
  }

  async startClient(wish: { readonly region?: string } = {}): Promise<string> {
    const settings = { listen: "127.0.0.1:0", probeEvery: "100ms", probeTimeout: "500ms", ...wish };
    return (await this.#start(client, settings)).addresses["listen"]!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const role of this.#roles.reverse()) await role[Symbol.asyncDispose]();
    await this.supernode[Symbol.asyncDispose]();
    this.#temp[Symbol.dispose]();
  }

  async #start(role: Role, settings: object) {
    const stateDir = this.#temp.path(role.name);
    const state = await StateDirectory.open(stateDir);
    const { identity: { peerId } } = await loadOrCreateIdentity(state, { random, primitives, clock, signal });
    const certificate = certify({ peerId, nowMs: clock.wallNow(), roles: [role.name] });
    await storeCertificate(state, parseCertificate(certificate)!, { clock, signal });
    const supernode = [this.supernode.setting];
    const config = role.config.parse({ supernode, networkPublicKey: encodeBase64(networkPublicKey), ...settings });
    const running = startRole(role, config, { stateDir, log: this.log });
    this.#roles.push(running);
    return await running.ready;
  }

  #keys(role: string, peerId?: string): PeerKeys {
    return this.supernode.auths.findLast(({ peer }) => peer.role === role && peer.peerId === (peerId ?? peer.peerId))!
      .peer;
  }

  async #setUp(clientPeerId: string): Promise<SessionOffer | undefined> {
    const sessionId = newId();
    const expiresAtMs = clock.wallNow() + 600_000;
    const keys = this.#keys("client", clientPeerId);
    const offered = this.#keys("exit");
    const payload = { clientPeerId, clientWireguardKey: keys.wireguardKey, clientProof: keys, expiresAtMs };
    const done = await this.supernode.command(offered.peerId, {
      kind: "SETUP_EXIT",
      commandId: newId(),
      sessionId,
      timeoutMs: 5_000,
      payload: this.lieToExit(payload),
    });
    this.setup = done.kind === "done" ? "applied" : done.result?.code ?? done.kind;
    if (done.kind !== "done") return undefined;
    this.supernode.sessions.set(sessionId, offered.peerId);
    return this.lieToClient({ sessionId, exit: offered, region: "there", expiresAtMs });
  }
}

Deno.test("what is honest works: without this, the rest would show nothing", async () => {
  await using scene = new Scene();
  const exitPeerId = await scene.startExit();
  assertStringIncludes(await hello(await scene.startClient()), exitPeerId);
});

const supernodeIdentity = newIdentity();

const liesToClients: readonly { name: string; lie(offer: SessionOffer, scene: Scene): SessionOffer; why: string }[] = [
  {
    name: "another X25519 key for the exit",
    lie: (offer) => ({ ...offer, exit: { ...offer.exit, wireguardKey: keysOf(newIdentity()).wireguardKey } }),
    why: "bad_binding",
  },
  {
    name: "the exit's id with another identity's keys",
    lie: (offer) => ({ ...offer, exit: { ...keysOf(supernodeIdentity), peerId: offer.exit.peerId } }),
    why: "wrong_peer_id",
  },
  {
    name: "an exit that it has invented",
    lie: (offer) => ({ ...offer, exit: keysOf(supernodeIdentity) }),
    why: "no_certificate",
  },
  {
    name: "an exit that it has invented, with the exit's certificate",
    lie: (offer) => ({ ...offer, exit: { ...keysOf(supernodeIdentity), certificate: offer.exit.certificate } }),
    why: "bad_certificate: wrong_peer",
  },
  {
    name: "itself as the exit, with its certificate",
    lie: (offer, { identity }) => ({ ...offer, exit: keysOf(identity, ["supernode"]) }),
    why: "bad_certificate: wrong_role",
  },
  {
    name: "an exit of whose certificate the time has passed",
    lie(offer) {
      const { peerId } = offer.exit;
      const certificate = certify({ peerId, nowMs: clock.wallNow() - 86_400_000, roles: ["exit"] });
      return { ...offer, exit: { ...offer.exit, certificate } };
    },
    why: "bad_certificate: expired",
  },
];

for (const { name, lie, why } of liesToClients) {
  Deno.test(`a client does not take ${name}`, async () => {
    await using scene = new Scene();
    await scene.startExit();
    scene.lieToClient = (offer) => lie(offer, scene);
    const proxy = await scene.startClient();
    const { fields } = await scene.log.waitFor("There is no exit yet");
    assertStringIncludes(
      String(fields["error"]),
      `Cannot use the exit that was offered: its keys are no good (${why})`,
    );
    assertMatch(await hello(proxy), /^HTTP\/1\.[01] 50\d/);
  });
}

Deno.test("a client that wants a region does not take an exit that is said to be elsewhere", async () => {
  await using scene = new Scene();
  await scene.startExit();
  scene.lieToClient = (offer) => ({ ...offer, region: "elsewhere" });
  // The certificate is for anywhere, so only the wish tells.
  const wishing = await scene.startClient({ region: "there" });
  const { fields } = await scene.log.waitFor("There is no exit yet");
  assertStringIncludes(String(fields["error"]), "it must be in there, got one in elsewhere");
  assertMatch(await hello(wishing), /^HTTP\/1\.[01] 50\d/);
});

const liesToExits: readonly { name: string; lie(setup: SetupExit, scene: Scene): SetupExit; code: string }[] = [
  {
    name: "the client's id with a key of the supernode's",
    lie: (setup) => ({ ...setup, clientWireguardKey: keysOf(supernodeIdentity).wireguardKey }),
    code: "bad_binding",
  },
  {
    name: "a client that was invented",
    lie(setup) {
      const { peerId, wireguardKey, ...clientProof } = keysOf(supernodeIdentity);
      return { ...setup, clientPeerId: peerId, clientWireguardKey: wireguardKey, clientProof };
    },
    code: "no_certificate",
  },
  {
    name: "the supernode as a client, with its certificate",
    lie(setup, { identity }) {
      const { peerId, wireguardKey, ...clientProof } = keysOf(identity, ["supernode"]);
      return { ...setup, clientPeerId: peerId, clientWireguardKey: wireguardKey, clientProof };
    },
    code: "bad_certificate",
  },
  {
    name: "a client of which nothing is shown",
    lie: ({ clientProof: _, ...setup }) => setup,
    code: "no_proof",
  },
];

for (const { name, lie, code } of liesToExits) {
  Deno.test(`an exit does not serve ${name}`, async () => {
    await using scene = new Scene();
    await scene.startExit();
    scene.lieToExit = (setup) => lie(setup, scene);
    const proxy = await scene.startClient();
    await scene.log.waitFor("There is no exit yet");
    assertEquals(scene.setup, code);
    assertMatch(await hello(proxy), /^HTTP\/1\.[01] 50\d/);
  });
}

/** A stream whose bytes, either way, go through `see`, which may change them in place. */
function watched(stream: Stream, see: (bytes: Uint8Array, direction: "to_exit" | "from_exit") => void): Stream {
  return {
    async read(into) {
      const count = await stream.read(into);
      if (count !== null) see(into.subarray(0, count), "to_exit");
      return count;
    },
    write(from) {
      const copy = from.slice();
      see(copy, "from_exit");
      return stream.write(copy);
    },
    closeWrite: () => stream.closeWrite(),
    close: () => stream.close(),
    [Symbol.dispose]: () => stream.close(),
  };
}

Deno.test("what a supernode relays tells it nothing of what is said", async () => {
  await using scene = new Scene();
  let seen = "";
  scene.supernode.tap = (stream) => watched(stream, (bytes) => seen += String.fromCharCode(...bytes));
  const exitPeerId = await scene.startExit();
  const page = await hello(await scene.startClient());
  assertStringIncludes(page, exitPeerId);
  assert(seen.length > page.length, `${seen.length} bytes were relayed of a page of ${page.length}`);
  const said = ["hello.culvert", "GET / HTTP", "HTTP/1.", "<html", exitPeerId];
  assertEquals(said.filter((words) => seen.includes(words)), []);
});

const directions = [
  { direction: "to_exit", noticed: "its first message is not from a peer expected" },
  { direction: "from_exit", noticed: "a record in it is not what the far side sealed" },
] as const;
for (const { direction, noticed } of directions) {
  Deno.test(`one bit changed ${direction.replace("_", " the ")} ends the stream, and nothing changed arrives`, async () => {
    await using scene = new Scene();
    let isChanging = false;
    let changes = 0;
    scene.supernode.tap = (stream) =>
      watched(stream, (bytes, way) => {
        if (!isChanging || way !== direction) return;
        bytes[bytes.length >> 1]! ^= 1;
        changes++;
      });
    await scene.startExit();
    const proxy = await scene.startClient();
    assertMatch(await hello(proxy), /^HTTP\/1\.[01] 200/);
    isChanging = true;
    assertMatch(await hello(proxy), /^HTTP\/1\.[01] 50\d/);
    assert(changes > 0, "nothing was changed");
    assertStringIncludes(scene.log.text(), noticed);
  });
}
