import { assert, assertEquals, assertGreaterOrEqual, assertLessOrEqual } from "@std/assert";
import fc from "fast-check";
import { exitCandidate, peerKeys, token } from "./control/fixtures/arbitraries.ts";
import { idOf } from "./control/fixtures/people.ts";
import type { ExitCandidate } from "./directory.ts";
import {
  advanceSession,
  isServed,
  MAX_SESSION_CANDIDATES,
  MAX_SESSION_FAILED,
  openSession,
  type SessionEvent,
  type SessionRecord,
  sessionRecordSchema,
  type SessionState,
} from "./session.ts";

const [KEYS] = fc.sample(peerKeys, { numRuns: 1, seed: 1 });
const CANDIDATES = fc.sample(exitCandidate, { numRuns: 3, seed: 2 });

function sessionWith(candidates: readonly ExitCandidate[] = CANDIDATES): SessionRecord {
  const { peerId, wireguardKey } = KEYS!;
  return openSession({
    sessionId: idOf(1),
    clientPeerId: peerId,
    clientWireguardKey: wireguardKey,
    clientSupernodeId: peerId,
    wish: { region: "eu" },
    candidates,
    expiresAtMs: 1000,
  }, 1);
}

function chosen(at: number): SessionEvent {
  return { kind: "chosen", exitPeerId: CANDIDATES[at]!.exit.peerId, setupCommandId: idOf(at) };
}

const READY: SessionEvent = { kind: "ready" };
const REFUSED: SessionEvent = { kind: "refused" };
const ROTATE: SessionEvent = { kind: "rotate", nextSessionId: idOf(2) };
const STAY: SessionEvent = { kind: "stay" };
const END: SessionEvent = { kind: "end", reason: "client_left" };

/** The session after all of them, or undefined if one of them could not happen. */
function after(events: readonly SessionEvent[]): SessionRecord | undefined {
  return events.reduce<SessionRecord | undefined>(
    (session, event) => session && advanceSession(session, event, session.updatedAtMs + 1),
    sessionWith(),
  );
}

Deno.test("each state is left for what the table says and nothing else", () => {
  const reached: Record<SessionState, SessionEvent[]> = {
    requested: [],
    setting_up: [chosen(0)],
    active: [chosen(0), READY],
    rotating: [chosen(0), READY, ROTATE],
    ended: [END],
  };
  const rows: { from: SessionState; to: Record<string, SessionState | undefined> }[] = [
    { from: "requested", to: { chosen: "setting_up", end: "ended" } },
    { from: "setting_up", to: { ready: "active", refused: "requested", end: "ended" } },
    { from: "active", to: { rotate: "rotating", end: "ended" } },
    { from: "rotating", to: { stay: "active", end: "ended" } },
    { from: "ended", to: {} },
  ];
  for (const { from, to } of rows) {
    assertEquals(after(reached[from])?.state, from);
    for (const event of [chosen(1), READY, REFUSED, ROTATE, STAY, END]) {
      assertEquals(after([...reached[from], event])?.state, to[event.kind], `${from} + ${event.kind}`);
    }
  }
});

Deno.test("an exit that refuses is not tried again, the next candidate is", () => {
  const session = after([chosen(0), REFUSED])!;
  assertEquals(session.failed, [CANDIDATES[0]!.exit.peerId]);
  assertEquals(session.candidates, CANDIDATES.slice(1));
  assertEquals(after([chosen(0), REFUSED, chosen(0)]), undefined);
  assertEquals(after([chosen(0), REFUSED, chosen(1), READY])?.exit, CANDIDATES[1]);
});

Deno.test("an ended session says why and keeps nothing that could be tried", () => {
  const session = after([chosen(0), READY, END])!;
  assertEquals([session.endReason, session.candidates], ["client_left", []]);
  assertEquals(advanceSession(session, { kind: "renew", expiresAtMs: 5000 }, 9), undefined);
});

Deno.test("a session is served while it is active or rotating, until it expires", () => {
  assertEquals(isServed(after([chosen(0)])!, 10), false);
  assertEquals(isServed(after([chosen(0), READY])!, 10), true);
  assertEquals(isServed(after([chosen(0), READY, ROTATE])!, 999), true);
  assertEquals(isServed(after([chosen(0), READY])!, 1000), false);
  assertEquals(isServed(after([chosen(0), READY, { kind: "renew", expiresAtMs: 2000 }])!, 1000), true);
  assertEquals(after([{ kind: "renew", expiresAtMs: 999 }]), undefined, "never shortened");
});

Deno.test("a record fits its schema and into a value of KV after any events, and only grows in revision", () => {
  const event: fc.Arbitrary<SessionEvent> = fc.oneof(
    fc.nat(3).map((at) => chosen(at % CANDIDATES.length)),
    fc.constantFrom(READY, REFUSED, ROTATE, STAY, END),
    token.map((nextSessionId) => ({ kind: "rotate" as const, nextSessionId })),
    fc.array(exitCandidate, { maxLength: 12 }).map((more) => ({
      kind: "candidates" as const,
      candidates: [...more, ...CANDIDATES],
    })),
  );
  fc.assert(fc.property(fc.array(event, { maxLength: 80 }), (events) => {
    let session = sessionWith();
    for (const [at, one] of events.entries()) {
      const before = JSON.stringify(session);
      const next = advanceSession(session, one, at);
      assertEquals(JSON.stringify(session), before, "the old record is as it was");
      if (!next) continue;
      assertEquals(next.revision, session.revision + 1);
      session = next;
    }
    const stored: unknown = JSON.parse(JSON.stringify(session));
    assert(sessionRecordSchema.safeParse(stored).success);
    assertLessOrEqual(session.candidates.length, MAX_SESSION_CANDIDATES);
    assertLessOrEqual(session.failed.length, MAX_SESSION_FAILED);
  }));
});

Deno.test("the largest record there can be fits into a value of KV", () => {
  const certificate = `culvert-cert-v1.${"A".repeat(1920)}.${"A".repeat(86)}`;
  const large = CANDIDATES.map((candidate) => ({ ...candidate, exit: { ...candidate.exit, certificate } }));
  const candidates = Array.from({ length: MAX_SESSION_CANDIDATES + 1 }, (_, at) => large[at % large.length]!);
  const failed = Array.from({ length: MAX_SESSION_FAILED }, () => KEYS!.peerId);
  const session = { ...sessionWith(candidates), exit: large[0], failed };
  assertGreaterOrEqual(40_000, JSON.stringify(session).length);
});

Deno.test("what was opened for an exit goes when that says no, and is replaced when it is set up again", () => {
  const grant = { addresses: ["10.201.0.2/32"], gateways: ["10.201.0.1"], dns: [], mtu: 1420 };
  const opened = { ...chosen(0), packets: { relayPort: 40_000 } } as SessionEvent;
  const ready: SessionEvent = { kind: "ready", packets: { relayPort: 40_000, grant } };
  assertEquals(after([opened])!.packets, { relayPort: 40_000 });
  assertEquals(after([opened, REFUSED])!.packets, undefined);
  assertEquals(after([opened, REFUSED, chosen(1)])!.packets, undefined);
  assertEquals(after([opened, ready])!.packets, { relayPort: 40_000, grant });
  assertEquals(after([opened, READY])!.packets, { relayPort: 40_000 });
  const again: SessionEvent = { kind: "set_up_again", setupCommandId: idOf(7), packets: { relayPort: 40_001 } };
  const told = after([opened, ready, again])!;
  assertEquals([told.state, told.setupCommandId, told.packets], ["active", idOf(7), { relayPort: 40_001 }]);
  assertEquals(after([opened, again]), undefined, "it has not been set up once");
  for (const session of [told, after([opened, REFUSED])!]) sessionRecordSchema.parse(session);
});
