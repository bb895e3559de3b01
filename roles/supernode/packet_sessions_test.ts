import { assert, assertEquals, assertMatch } from "@std/assert";
import { candidate, peerId, token } from "../../kv/fixtures/records.ts";
import { createMemoryRelayAddresses } from "../../kv/relay_addresses.ts";
import { createMemorySessions } from "../../kv/sessions.ts";
import type { ExitSetupRequest } from "../../protocol/directory.ts";
import { parseEndpoint } from "../../protocol/wireguard/endpoint.ts";
import { FakeClock, settle } from "../../testing/fake_clock.ts";
import { FakeRelay } from "../fixtures/fake_relay.ts";
import { CLIENT, ELSEWHERE, GRANT, grants, HERE, HOST, SessionRig } from "./fixtures/session_rig.ts";

const WISH = { carries: "packets" } as const;
const elsewhere = (number: number) => ({ ...candidate(number), supernodeId: ELSEWHERE, carriesPackets: true });
const FAR_PORT = "203.0.113.1:41000";

/** A supernode elsewhere whose exit grants what it is asked for. */
function farSetUp(requests: ExitSetupRequest[], relay = "192.0.2.20:41000") {
  return (request: ExitSetupRequest) => {
    requests.push(request);
    return { status: "applied" as const, packets: GRANT, relay };
  };
}

function hostedRequest(rig: SessionRig, changes: Partial<ExitSetupRequest> = {}): ExitSetupRequest {
  return {
    sessionId: token(1),
    commandId: token(50),
    exitPeerId: peerId(100),
    clientPeerId: CLIENT.peerId,
    clientWireguardKey: CLIENT.wireguardKey,
    packets: { relay: "192.0.2.20:41000" },
    expiresAtMs: rig.clock.wallNow() + 3_600_000,
    timeoutMs: 4_000,
    ...changes,
  };
}

Deno.test("a session at an exit here has one port, of which client and exit are told", async () => {
  const relay = new FakeRelay();
  using rig = new SessionRig({ carriers: { relay } });
  const exit = await rig.connectExit(100, grants);
  const grant = await rig.requests.grant(CLIENT, WISH);
  assert(grant.ok);
  assertEquals(grant.offer.packets, { ...GRANT, endpoint: `${HOST}:40000` });
  const [{ command }] = rig.sent.filter(({ to }) => to === exit) as [typeof rig.sent[0]];
  assert(command.kind === "SETUP_EXIT");
  assertEquals(command.payload.packets, { relay: `${HOST}:40000` });
  assertEquals(relay.ports, [40_000]);
  await rig.rotation; // nothing else is under way
  assertEquals([...rig.sessions].map(({ packets }) => packets), [{ relayPort: 40_000, grant: GRANT }]);
});

Deno.test("a session at an exit elsewhere goes by a port of each supernode", async () => {
  const relay = new FakeRelay();
  using rig = new SessionRig({ carriers: { relay } });
  rig.candidatesElsewhere = [elsewhere(110)];
  const requests: ExitSetupRequest[] = [];
  rig.setUpElsewhere = farSetUp(requests);
  const grant = await rig.requests.grant(CLIENT, WISH);
  assert(grant.ok);
  assertEquals(grant.offer.packets, { ...GRANT, endpoint: `${HOST}:40000` });
  assertEquals(requests.map(({ packets }) => packets), [{ relay: `${HOST}:40000` }]);
  assertEquals(relay.placesOf(grant.offer.sessionId), { client: undefined, exit: "192.0.2.20:41000" });
});

Deno.test("the exit's supernode has a port of its own, which it tells both the exit and who asked", async () => {
  const relay = new FakeRelay();
  using rig = new SessionRig({ carriers: { relay } });
  const exit = await rig.connectExit(100, grants);
  const answer = await rig.hosted.setUp(hostedRequest(rig), ELSEWHERE);
  assertEquals(answer, { status: "applied", packets: GRANT, relay: `${HOST}:40000` });
  const [{ command }] = rig.sent.filter(({ to }) => to === exit) as [typeof rig.sent[0]];
  assert(command.kind === "SETUP_EXIT");
  assertEquals(command.payload.packets, { relay: `${HOST}:40000` });
  assertEquals(relay.placesOf(token(1)), { client: "192.0.2.20:41000", exit: undefined });
  assertEquals(await rig.hosted.setUp(hostedRequest(rig), ELSEWHERE), answer, "asking twice is asking once");
  await rig.hosted.end({ sessionId: token(1), reason: "client_left" }, ELSEWHERE);
  assertEquals([relay.ports, rig.sessions.portsFor(ELSEWHERE)], [[], 0]);
});
