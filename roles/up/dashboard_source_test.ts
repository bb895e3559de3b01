import { assertEquals } from "@std/assert";
import { peerId } from "../../kv/fixtures/records.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import type { SourceEvent } from "../../edge/dashboard/inventory.ts";
import type { SessionView, StreamView } from "../supernode/admin_schema.ts";
import type { BaseSaid, SupernodeSaid } from "./asked_parts.ts";
import { UpSource } from "./dashboard_source.ts";
import { Notices } from "./notices.ts";
import type { AskedPart, ShownNetwork } from "./watched_network.ts";

const [NORTH, SOUTH, CLIENT, EXIT, RELAY, GATEWAY] = [1, 2, 3, 4, 5, 6].map(peerId) as [
  string,
  string,
  string,
  string,
  string,
  string,
];
const NAMES: Readonly<Record<string, string>> = {
  [NORTH]: "north",
  [SOUTH]: "south",
  [CLIENT]: "client",
  [EXIT]: "exit",
  [RELAY]: "relay-1/relay",
};
const [north, south]: [AskedPart, AskedPart] = [
  { name: "north", role: "supernode", stateDir: "/north", region: "n", peerId: NORTH },
  { name: "south", role: "supernode", stateDir: "/south", region: "s", peerId: SOUTH },
];
const base: AskedPart = { name: "base", role: "base", stateDir: "/base" };

function network(asked: readonly AskedPart[]): ShownNetwork {
  return {
    title: "a test",
    names: [],
    asked,
    isRunning: () => true,
    restart: () => Promise.resolve(true),
    parts: () => [],
    nameOf: (peerId) => NAMES[peerId],
  };
}

function stream(peerId: string, more: Partial<StreamView> = {}): StreamView {
  return { peerId, role: "exit", region: "s", connectedMs: 5000, silentMs: 100, ...more };
}

function session(state: SessionView["state"]): SessionView {
  return {
    ...{ sessionId: "A".repeat(22), state, clientPeerId: CLIENT, clientSupernodeId: NORTH, wish: {} },
    ...{ createdAtMs: 1, expiresAtMs: 2, exitPeerId: EXIT, exitSupernodeId: SOUTH, carries: "streams" },
  };
}

function supernodeSaid(part: AskedPart, more: Partial<SupernodeSaid> = {}): SupernodeSaid {
  const counts = { upMs: 0, streams: 1, exits: 1, sessions: 0, links: 0, blocks: 0 };
  const status = { supernodeId: part.peerId!, region: part.region!, version: "1", draining: false, ...counts };
  return { part, status, streams: [], sessions: [], links: [], blocked: [], audit: [], ...more };
}

interface Said {
  readonly supernodes: SupernodeSaid[];
  readonly bases?: BaseSaid[];
}

function sourceOf(said: Said, asked: readonly AskedPart[] = [base, north, south]) {
  const clock = new FakeClock();
  const notices = new Notices();
  const heard: SourceEvent[] = [];
  notices.listen((event) => heard.push(event));
  const source = new UpSource({
    network: network(asked),
    asked: { supernodes: () => Promise.resolve(said.supernodes), bases: () => Promise.resolve(said.bases ?? []) },
    deeds: { act: () => Promise.resolve({ ok: true, text: "done" }) },
    notices,
    clock,
  });
  return { source, heard, clock, inventory: () => source.inventory(new AbortController().signal) };
}

Deno.test("a supernode that does not answer stays, and is silent", async () => {
  const { inventory } = sourceOf({ supernodes: [supernodeSaid(north)] });
  const { supernodes } = await inventory();
  assertEquals(Array.from(supernodes, ({ name, state }) => [name, state]), [["north", "online"], ["south", "silent"]]);
});

Deno.test("what two supernodes say of one thing is there once: the newest of a peer, the owner's of a session", async () => {
  const links = (to: string) => [{ kind: "supernode" as const, peerId: to, links: 1 }];
  const { inventory, clock } = sourceOf({
    supernodes: [
      supernodeSaid(north, {
        streams: [stream(EXIT, { silentMs: 9000 }), stream(CLIENT, { role: "client" })],
        sessions: [session("rotating")],
        links: [...links(SOUTH), { kind: "peer", peerId: CLIENT, links: 1 }],
      }),
      supernodeSaid(south, { streams: [stream(EXIT)], sessions: [session("active")], links: links(NORTH) }),
    ],
  });
  const { peers, sessions, links: between } = await inventory();
  const found = new Map(Array.from(peers, (peer) => [peer.peerId, peer]));
  assertEquals([found.size, found.get(EXIT)!.supernodeId, found.get(EXIT)!.name], [2, SOUTH, "exit"]);
  assertEquals(found.get(EXIT)!.heardAtMs, clock.wallNow() - 100);
  assertEquals(Array.from(sessions, ({ state }) => state), ["rotating"]);
  assertEquals([...between], [{ from: NORTH < SOUTH ? NORTH : SOUTH, to: NORTH < SOUTH ? SOUTH : NORTH }]);
});

Deno.test("relays are those that base lists, gateways those that relays name, each by its name here", async () => {
  const relay = { relayId: RELAY, kind: "relay", region: "s", url: "http://r/", load: 0.5, version: "1" } as const;
  const relays = [{ ...relay, registeredAtMs: 7, gateways: [GATEWAY] }];
  const said = { supernodes: [], bases: [{ part: base, relays, blocked: [RELAY], audit: [] }] };
  const { source, inventory } = sourceOf(said, [base]);
  const { peers, blocked } = await inventory();
  assertEquals(Array.from(peers, ({ name, role }) => [name, role]), [["relay-1/relay", "relay"], [
    undefined,
    "gateway",
  ]]);
  assertEquals([...blocked], [RELAY]);
  assertEquals(source.deeds.includes("drain"), false);
  // Base is killed: nobody knows that they are gone.
  said.bases = [];
  assertEquals([...(await inventory()).peers].length, 2);
});

Deno.test("what administrators do is told once, the oldest first, with the names that peers have here", async () => {
  const entry = (id: string, action: string) => {
    return { id, atMs: Number(id.split("-")[0]), actor: "admin", action, subject: EXIT, outcome: "done" as const };
  };
  const said = { supernodes: [supernodeSaid(north, { audit: [entry("2-0", "unrevoke"), entry("1-0", "revoke")] })] };
  const { heard, inventory } = sourceOf(said);
  await inventory();
  await inventory();
  said.supernodes[0] = supernodeSaid(north, { audit: [entry("3-0", "revoke"), entry("2-0", "unrevoke")] });
  await inventory();
  const texts = heard.map(({ text }) => text);
  assertEquals(texts, ["admin: revoke exit: done", "admin: unrevoke exit: done", "admin: revoke exit: done"]);
});

Deno.test("a peer is shut out only if its own supernode does not let it in", async () => {
  const peers = [stream(EXIT)];
  const told = [supernodeSaid(north, { blocked: [EXIT, GATEWAY] }), supernodeSaid(south, { streams: peers })];
  assertEquals([...(await sourceOf({ supernodes: told }).inventory()).blocked], [GATEWAY]);
  told[1] = supernodeSaid(south, { streams: peers, blocked: [EXIT] });
  assertEquals(new Set((await sourceOf({ supernodes: told }).inventory()).blocked), new Set([EXIT, GATEWAY]));
});
