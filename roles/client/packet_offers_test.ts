/** What a client takes of a supernode that offers it a session for packets, and what not. */

import { assertEquals, assertRejects } from "@std/assert";
import type { ControlStream } from "../../net/control.ts";
import { hostPrimitives } from "../../net/host_primitives.ts";
import type { ClientSession } from "../../net/session_path.ts";
import type { SessionWay } from "../../net/watched_session.ts";
import type { SessionOffer } from "../../protocol/control/commands.ts";
import type { PacketOffer } from "../../protocol/control/packets.ts";
import { peerKeysOf } from "../../protocol/control/peer_keys.ts";
import { DialError } from "../../protocol/errors.ts";
import type { PeerKeys } from "../../protocol/fields.ts";
import { generateSecrets, Identity } from "../../protocol/identity.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { ClientSessions, type ClientSessionsOptions } from "./sessions.ts";

const primitives = hostPrimitives();
const random = new SeededRandom(7);
const { signal } = new AbortController();

function newKeys(): PeerKeys {
  return peerKeysOf(new Identity(generateSecrets(random), primitives));
}

const exit = newKeys(), supernode = newKeys(), stranger = newKeys();
const PACKETS: PacketOffer = {
  addresses: ["10.201.0.2/32"],
  gateways: ["10.201.0.1"],
  dns: ["10.201.0.1"],
  mtu: 1380,
  endpoint: "192.0.2.1:40000",
};

interface Opened {
  readonly sessions: ClientSessions;
  readonly opened: ClientSession[];
  readonly closed: string[];
}

function sessionsWith(
  options: Partial<ClientSessionsOptions>,
  openedOf: () => Promise<void> = () => Promise.resolve(),
): Opened {
  const opened: ClientSession[] = [], closed: string[] = [];
  const sessions = new ClientSessions({
    primitives,
    network: undefined,
    clock: new FakeClock(),
    control: () => ({ supernode: { supernodeId: supernode.peerId } }) as unknown as ControlStream,
    way: () => ({ isUp: true, losses: 0, up: () => Promise.resolve() }),
    openWay(session) {
      opened.push(session);
      return { opened: openedOf(), close: () => void closed.push(session.sessionId) } as unknown as SessionWay;
    },
    ...options,
  });
  return { sessions, opened, closed };
}

function offer(packets: PacketOffer | undefined, keys: PeerKeys = exit): SessionOffer {
  return { sessionId: "s", exit: keys, region: "there", expiresAtMs: 1, ...packets && { packets } };
}

const refused: readonly {
  readonly name: string;
  readonly options: Partial<ClientSessionsOptions>;
  readonly packets: PacketOffer | undefined;
  readonly why: string;
}[] = [
  {
    name: "streams where packets are wanted",
    options: { carries: "packets" },
    packets: undefined,
    why: "it must carry packets",
  },
  { name: "packets where streams are wanted", options: {}, packets: PACKETS, why: "it must carry streams" },
  {
    name: "a relay that reads along, unasked",
    options: { carries: "packets" },
    packets: { ...PACKETS, terminatedBy: supernode },
    why: "its relay must be blind",
  },
  {
    name: "a blind relay where one that terminates is wanted",
    options: { carries: "packets", relay: "terminate" },
    packets: PACKETS,
    why: "its relay must be one that terminates",
  },
  {
    name: "a tunnel that somebody else terminates",
    options: { carries: "packets", relay: "terminate" },
    packets: { ...PACKETS, terminatedBy: stranger },
    why: "another supernode terminates the tunnel",
  },
  {
    name: "a tunnel terminated with a key that is not the supernode's",
    options: { carries: "packets", relay: "terminate" },
    packets: { ...PACKETS, terminatedBy: { ...supernode, wireguardKey: stranger.wireguardKey } },
    why: "the supernode's keys are no good (bad_binding)",
  },
];

for (const { name, options, packets, why } of refused) {
  Deno.test(`a client does not take ${name}`, async () => {
    const { sessions, opened } = sessionsWith(options);
    await assertRejects(() => sessions.open(offer(packets), signal), DialError, why);
    assertEquals(opened, []);
  });
}

Deno.test("a session is there once its way is open, and its way goes when that fails", async () => {
  const good = sessionsWith({ carries: "packets", relay: "terminate" });
  const packets = { ...PACKETS, terminatedBy: supernode };
  const session = await good.sessions.open(offer(packets), signal);
  assertEquals([session.exitPeerId, session.region, good.opened[0]?.packets], [exit.peerId, "there", packets]);

  const bad = sessionsWith({ carries: "packets" }, () => Promise.reject(new DialError("timeout", "no handshake")));
  await assertRejects(() => bad.sessions.open(offer(PACKETS), signal), DialError, "no handshake");
  assertEquals(bad.closed, ["s"]);
});
