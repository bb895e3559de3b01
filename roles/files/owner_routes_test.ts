import { assertEquals } from "@std/assert";
import type { PeerConnection } from "../../net/peers/peer_connection.ts";
import { PeerGateway } from "../../net/peers/peer_gateway.ts";
import { DialError } from "../../protocol/errors.ts";
import { bridgeSchema, otherPeersSchema, type Sent, transfersSchema } from "../../protocol/files/owner_api.ts";
import { silentLog } from "../../protocol/log.ts";
import { randomOf } from "../../protocol/random.ts";
import { makeCard, type PeerCard } from "../../protocol/peers/card.ts";
import { generateSecrets, Identity } from "../../protocol/identity.ts";
import { portablePrimitives } from "../../protocol/primitives.ts";
import type { ListedPeer } from "../../protocol/tracker/messages.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { ownerRoutes, type OwnerRoutesOptions } from "./owner_routes.ts";

const random = new SeededRandom(8);
const cardOf = (label: string): PeerCard => {
  const identity = new Identity(generateSecrets(random), portablePrimitives);
  return makeCard(identity, { label, region: "eu", addresses: [], relays: [], capabilities: ["files"], issuedAtMs: 1 });
};
const [met, listed, both] = [cardOf("met"), cardOf("listed"), cardOf("both")];
const sent: Sent = { peerId: met.peerId, way: "relayed", path: "a", bytes: 1, size: 2, isWhole: false, atMs: 3 };

/** Three peers: one was met before, one is at a tracker, one is both and connected. */
async function* online(): AsyncGenerator<ListedPeer> {
  yield { card: listed, seenAtMs: 5 };
  yield { card: both, seenAtMs: 6 };
}

async function* nobody(): AsyncGenerator<ListedPeer> {
  yield await Promise.reject(new Error("no tracker answers"));
}

function routes(
  { isAlone = false, connect = () => Promise.reject(new DialError("path_down", "no way leads there")) }: {
    readonly isAlone?: boolean;
    readonly connect?: () => Promise<PeerConnection>;
  } = {},
) {
  const clock = new FakeClock();
  const peers = {
    connect,
    wayTo: (peerId: string) =>
      peerId === both.peerId ? { way: "direct" as const, via: "1.2.3.4:5", rttMs: 7 } : undefined,
  };
  const gateway = new PeerGateway({
    network: peers,
    find: () => Promise.resolve({ card: both }),
    clock,
    random: randomOf(crypto),
    log: silentLog,
  });
  const network = {
    known: { list: () => Promise.resolve([{ card: met, atMs: 1 }, { card: both, atMs: 2 }]) },
    find: () => Promise.resolve({ card: both }),
    online: isAlone ? nobody : online,
    peers,
  } as unknown as OwnerRoutesOptions["network"];
  const { signal } = new AbortController();
  const answer = ownerRoutes({ network, gateway, sent: () => [sent], signal });
  return {
    ask: (path: string, method = "GET") => answer(new Request(`http://127.0.0.1:1${path}`, { method })),
    [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose](),
  };
}

Deno.test("who is at a tracker and who was met are told, each once, with the way there is", async () => {
  await using it = routes();
  const { peers } = otherPeersSchema.parse(await (await it.ask("/api/peers"))!.json());
  assertEquals(peers.map(({ label, isOnline, way, seenAtMs }) => [label, isOnline, way, seenAtMs]), [
    ["met", false, undefined, undefined],
    ["both", true, "direct", 6],
    ["listed", true, undefined, 5],
  ]);
});

Deno.test("without a tracker that answers there are those that were met", async () => {
  await using it = routes({ isAlone: true });
  const { peers } = otherPeersSchema.parse(await (await it.ask("/api/peers"))!.json());
  assertEquals(peers.map(({ label, isOnline }) => [label, isOnline]), [["met", false], ["both", true]]);
});

Deno.test("a way to a peer is opened, or it is said why not", async () => {
  const connection = { way: "relayed", [Symbol.asyncDispose]: () => Promise.resolve() } as unknown as PeerConnection;
  await using it = routes({ connect: () => Promise.resolve(connection) });
  const bridge = bridgeSchema.parse(await (await it.ask(`/api/peers/${both.peerId}/open`, "POST"))!.json());
  assertEquals(bridge.way, "relayed");
  await using other = routes();
  const refused = (await other.ask(`/api/peers/${both.peerId}/open`, "POST"))!;
  assertEquals([refused.status, (await refused.json()).detail], [
    502,
    "Cannot open a way to the peer: no way leads there",
  ]);
});

Deno.test("what was sent is told, and what is not asked for by its name and method is not answered", async () => {
  await using it = routes();
  assertEquals(transfersSchema.parse(await (await it.ask("/api/transfers"))!.json()), { transfers: [sent] });
  const table: [path: string, method: string][] = [
    ["/api/peers", "POST"],
    ["/api/peers/nobody/open", "POST"],
    [`/api/peers/${both.peerId}/open`, "GET"],
    [`/api/peers/${both.peerId}`, "GET"],
    [`/else/peers/${both.peerId}/open`, "POST"],
    [`/api/peers/${both.peerId}/open/more`, "POST"],
    ["/peers/nobody/api/files", "GET"],
    ["/api/else", "GET"],
  ];
  for (const [path, method] of table) assertEquals(await it.ask(path, method), undefined, `${method} ${path}`);
});
