import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertGreaterOrEqual,
  assertLessOrEqual,
  assertThrows,
} from "@std/assert";
import fc from "fast-check";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { CulvertError } from "../errors.ts";
import { portablePrimitives as primitives } from "../primitives.ts";
import type { Random } from "../random.ts";
import { makeAuthAnswer } from "./auth.ts";
import { anyMessage } from "./fixtures/arbitraries.ts";
import { closedNetwork, goodRequest, identityOf, idOf, peer, stranger, supernode, WALL_MS } from "./fixtures/people.ts";
import type { AuthRefusal, AuthRequest, ControlMessage } from "./messages.ts";
import { StreamClient, type StreamClientAction, type StreamClientOptions } from "./stream_client.ts";

const HERE = { url: "wss://here.example/control", supernodeId: supernode.peerId };
const otherSupernode = identityOf(40);
const THERE = { url: "wss://there.example/control", supernodeId: otherSupernode.peerId };

/** Always the middle, so that waits are half their ceiling. */
const middling: Random = { fill: (into) => new SeededRandom(1).fill(into), next: () => 0.5 };

class Bench {
  nowMs = 0;
  /** How far our clock is wrong. */
  wrongMs = 0;
  readonly client: StreamClient;
  request: AuthRequest | undefined;

  constructor(change: Partial<StreamClientOptions> = {}) {
    this.client = new StreamClient({
      identity: peer,
      role: "exit",
      region: "eu",
      supernodes: [HERE],
      primitives,
      random: middling,
      wallNow: () => WALL_MS + this.nowMs + this.wrongMs,
      ...change,
    });
  }

  connected(): string[] {
    return this.#names(this.client.connected(this.nowMs));
  }

  receive(message: ControlMessage): string[] {
    return this.#names(this.client.receive(JSON.stringify(message), this.nowMs));
  }

  refuse(reason: AuthRefusal, more: { retryAfterMs?: number; serverTimeMs?: number } = {}): string[] {
    return this.receive({ type: "auth.response", ok: false, reason, ...more });
  }

  accept(identity = supernode): string[] {
    const times = { serverTimeMs: WALL_MS + this.nowMs, pingEveryMs: 10_000, timeoutMs: 30_000 };
    return this.receive(makeAuthAnswer(this.request!, identity, { region: "eu", ...times }));
  }

  /** Everything up to an open stream. */
  open(): this {
    if (this.client.state === "idle") this.client.start(this.nowMs);
    this.connected();
    this.accept(this.client.supernode === THERE ? otherSupernode : supernode);
    assertEquals(this.client.state, "open");
    return this;
  }

  closed(): string[] {
    return this.#names(this.client.closed(this.nowMs));
  }

  /** Goes to when it next wants to be woken, and wakes it. */
  wake(): string[] {
    this.nowMs = this.client.nextWakeAtMs;
    return this.#names(this.client.wake(this.nowMs));
  }

  moveTo(supernodes: StreamClientOptions["supernodes"], withinMs = 0): string[] {
    return this.#names(this.client.moveTo(supernodes, this.nowMs, withinMs));
  }

  moveOn(): string[] {
    return this.#names(this.client.moveOn(this.nowMs));
  }

  #names(actions: readonly StreamClientAction[]): string[] {
    return actions.map((action) => {
      if (action.kind === "send" && action.message.type === "auth.request") this.request = action.message;
      if (action.kind === "send") return `send ${action.message.type}`;
      if (action.kind === "connect") return `connect ${action.supernode === HERE ? "here" : "there"}`;
      if (action.kind === "down") return `down ${action.reason} ${Math.round(action.retryInMs)}`;
      return action.kind;
    });
  }
}

Deno.test("a stream is opened with one request and one answer", () => {
  const bench = new Bench({ resumeFor: (supernodeId) => ({ supernodeId, lastSequence: 3 }) });
  assertEquals(bench.client.start(0), [{ kind: "connect", supernode: HERE }]);
  assertEquals(bench.client.start(0), []);
  assertEquals(bench.connected(), ["send auth.request"]);
  assertEquals(bench.request?.resume, { supernodeId: supernode.peerId, lastSequence: 3 });
  assertEquals(bench.request?.supernodeId, supernode.peerId);
  assertEquals(bench.accept(), ["open"]);
  assertEquals(bench.client.state, "open");
});

Deno.test("it pings with what there is to tell, measures the way, and knows when the other end is dead", () => {
  const bench = new Bench({ telemetry: () => ({ load: 0.25 }) }).open();
  assertEquals(bench.client.nextWakeAtMs, 5000, "those that came together do not ping together");
  assertEquals(bench.wake(), ["send ping"]);
  bench.nowMs += 40;
  assertEquals(bench.receive({ type: "pong", sequence: 1, serverTimeMs: 0 }), ["pong"]);
  assertEquals(bench.receive({ type: "pong", sequence: 1, serverTimeMs: 0 }), [], "once per ping");
  bench.nowMs = bench.client.nextWakeAtMs;
  assertEquals(bench.nowMs, 15_000);
  assertEquals(bench.client.wake(bench.nowMs), [
    { kind: "send", message: { type: "ping", sequence: 2, telemetry: { load: 0.25, rttMs: 40 } } },
  ]);
  assertEquals([bench.wake(), bench.wake(), bench.wake()], [["send ping"], ["send ping"], [
    "disconnect",
    "down silent 125",
  ]]);
  assertEquals(bench.nowMs, 35_040, "30 s after the last word");
});

Deno.test("a lost stream is opened again with a growing wait, and with a short one once it has held", () => {
  const bench = new Bench().open();
  assertEquals(bench.closed(), ["down lost 125"]);
  assertEquals(bench.closed(), []);
  assertEquals(bench.wake(), ["connect here"]);
  assertEquals(bench.closed(), ["down unreachable 250"]);
  bench.wake();
  bench.open();
  assertEquals(bench.closed(), ["down lost 500"], "let in and thrown out at once");
  bench.wake();
  bench.open();
  bench.nowMs += 30_000;
  assertEquals(bench.closed(), ["down lost 125"]);
  bench.wake();
  assertEquals(bench.closed(), ["down unreachable 250"]);
});

Deno.test("waits are anything up to their ceiling, which stays bounded", () => {
  const bench = new Bench({ random: new SeededRandom(4) });
  bench.client.start(0);
  let longestMs = 0;
  for (let at = 0; at < 200; at++) {
    const [down] = bench.client.closed(bench.nowMs);
    assert(down?.kind === "down");
    assertLessOrEqual(down.retryInMs, 30_000);
    longestMs = Math.max(longestMs, down.retryInMs);
    bench.wake();
  }
  assertGreaterOrEqual(longestMs, 25_000);
});

Deno.test("a supernode that does not answer is given up", () => {
  const bench = new Bench({ openWithinMs: 3000 });
  bench.client.start(0);
  assertEquals(bench.wake(), ["disconnect", "down unreachable 250"]);
  assertEquals(bench.nowMs, 3000);
  bench.wake();
  bench.connected();
  assertEquals(bench.wake(), ["disconnect", "down timeout 500"]);
});

Deno.test("of several supernodes the next is tried after a failure, the same after a loss", () => {
  const bench = new Bench({ supernodes: [HERE, THERE] });
  bench.client.start(0);
  bench.closed();
  assertEquals(bench.wake(), ["connect there"]);
  bench.closed();
  assertEquals(bench.wake(), ["connect here"]);
  bench.open();
  bench.closed();
  assertEquals(bench.wake(), ["connect here"]);
});

Deno.test("a supernode that is full is left alone for as long as it asked, longer rather than shorter", () => {
  const alone = new Bench();
  alone.client.start(0);
  alone.connected();
  assertEquals(alone.refuse("busy", { retryAfterMs: 20_000 }), ["disconnect", "down busy 25000"]);
  const two = new Bench({ supernodes: [HERE, THERE] });
  two.client.start(0);
  two.connected();
  assertEquals(two.refuse("draining", { retryAfterMs: 20_000 }), ["disconnect", "down draining 250"]);
  assertEquals(two.wake(), ["connect there"]);
  assertEquals(two.closed(), ["down unreachable 500"]);
  assertEquals(two.wake(), ["connect there"], "still away");
  two.nowMs = 26_000;
  two.closed();
  assertEquals(two.wake(), ["connect here"]);
});

Deno.test("no supernode can send its peers away for long", () => {
  const bench = new Bench();
  bench.client.start(0);
  bench.connected();
  assertEquals(bench.refuse("busy", { retryAfterMs: 86_400_000 }), ["disconnect", "down busy 750000"]);
});

Deno.test("what trying again does not mend is tried rarely", () => {
  for (const reason of ["revoked", "bad_signature", "bad_certificate", "no_certificate"] as const) {
    const bench = new Bench();
    bench.client.start(0);
    bench.connected();
    assertEquals(bench.refuse(reason), ["disconnect", `down ${reason} 75000`], reason);
  }
  const replaced = new Bench().open();
  assertEquals(replaced.receive({ type: "error", code: "replaced" }), ["disconnect", "down replaced 75000"]);
});

Deno.test("a wrong clock is made up for", () => {
  const bench = new Bench();
  bench.wrongMs = -3_600_000;
  bench.client.start(0);
  bench.connected();
  assertEquals(bench.refuse("stale", { serverTimeMs: WALL_MS }), ["clock_skew", "disconnect", "down stale 250"]);
  assertEquals(bench.wake(), ["connect here"]);
  bench.connected();
  assertAlmostEquals(bench.request!.timestampMs, WALL_MS + bench.nowMs, 1000);
  bench.accept();
  assertEquals(bench.client.state, "open");
});

Deno.test("with a wrong clock, what is granted for an hour lasts an hour, by that clock", async (t) => {
  for (const wrongMs of [-7_200_000, 7_200_000]) {
    await t.step(`${wrongMs} ms`, () => {
      const bench = new Bench();
      bench.wrongMs = wrongMs;
      bench.client.start(0);
      bench.connected();
      bench.refuse("stale", { serverTimeMs: WALL_MS });
      bench.wake();
      bench.open();
      const hour = 3_600_000;
      const inAnHour = WALL_MS + bench.nowMs + hour;
      const exit = {
        peerId: peer.peerId,
        publicKey: KEY,
        wireguardKey: KEY,
        wireguardSignature: `${"A".repeat(86)}==`,
      };
      const session = { sessionId: idOf(1), exit, region: "eu", expiresAtMs: inAnHour };
      const response = { type: "info.response", requestId: idOf(2), what: "exit", session };
      const [granted] = bench.client.receive(JSON.stringify(response), bench.nowMs);
      assert(granted?.kind === "response" && granted.response.what === "exit");
      assertEquals(granted.response.session, { ...session, expiresAtMs: inAnHour + wrongMs });
      const [told] = bench.client.receive(JSON.stringify(setupExit(inAnHour)), bench.nowMs);
      assert(told?.kind === "command" && told.command.kind === "SETUP_EXIT");
      assertEquals(told.command.payload.expiresAtMs, inAnHour + wrongMs);
      assertEquals(told.command.deadlineAtMs, inAnHour, "which is compared with the supernode's time");
    });
  }
});

Deno.test("a clock that is set while the stream is open is made up for with the next pong", () => {
  const bench = new Bench().open();
  bench.wake();
  bench.wrongMs = 3_600_000;
  bench.nowMs += 40;
  bench.receive({ type: "pong", sequence: 1, serverTimeMs: WALL_MS + bench.nowMs - 20 });
  assertEquals(bench.client.serverTimeMs, WALL_MS + bench.nowMs);
});

Deno.test("supernodes that send a peer to and fro do not make it hurry", () => {
  const bench = new Bench({ supernodes: [HERE, THERE] }).open();
  assertEquals(bench.moveTo([THERE, HERE]), ["disconnect", "down moved 0", "connect there"]);
  bench.open();
  assertEquals(bench.moveTo([HERE, THERE]), ["disconnect", "down moved 250"]);
  assertEquals(bench.wake(), ["connect here"]);
  bench.open();
  assertEquals(bench.moveTo([THERE, HERE]), ["disconnect", "down moved 500"]);
  bench.wake();
  bench.open();
  bench.nowMs += 60_000;
  assertEquals(bench.moveTo([HERE, THERE]), ["disconnect", "down moved 0", "connect here"], "once in a while it may");
});

Deno.test("a clock that is set right before the peer was let in is believed again", () => {
  const bench = new Bench();
  bench.wrongMs = -3_600_000;
  bench.client.start(0);
  bench.connected();
  bench.refuse("stale", { serverTimeMs: WALL_MS });
  bench.wrongMs = 0;
  bench.wake();
  bench.connected();
  const again = bench.refuse("stale", { serverTimeMs: WALL_MS + bench.nowMs });
  assertEquals(again, ["clock_skew", "disconnect", "down stale 500"], "with backoff");
  bench.wake();
  bench.connected();
  assertEquals(bench.request!.timestampMs, WALL_MS + bench.nowMs);
});

Deno.test("a peer whose clock is wrong gets in at the second supernode when the first goes away", () => {
  const bench = new Bench({ supernodes: [HERE, THERE] });
  bench.wrongMs = -3_600_000;
  bench.client.start(0);
  bench.connected();
  bench.refuse("stale", { serverTimeMs: WALL_MS });
  bench.wake();
  bench.closed();
  assertEquals(bench.wake(), ["connect there"]);
  bench.connected();
  bench.refuse("stale", { serverTimeMs: WALL_MS + bench.nowMs });
  assertEquals(bench.wake(), ["connect there"]);
  bench.connected();
  assertEquals(bench.request!.timestampMs, WALL_MS + bench.nowMs);
});

Deno.test("a supernode that calls every time wrong is left for another", () => {
  const bench = new Bench({ supernodes: [HERE, THERE] });
  bench.client.start(0);
  bench.connected();
  bench.refuse("stale", { serverTimeMs: WALL_MS });
  assertEquals(bench.wake(), ["connect here"]);
  bench.connected();
  bench.refuse("stale", { serverTimeMs: WALL_MS + 7_200_000 });
  assertEquals(bench.wake(), ["connect there"]);
});

Deno.test("what one supernode says of the time is not believed of another", () => {
  const bench = new Bench({ supernodes: [HERE, THERE] });
  bench.client.start(0);
  bench.connected();
  bench.refuse("stale", { serverTimeMs: WALL_MS + 86_400_000 });
  bench.wake();
  bench.closed();
  assertEquals(bench.wake(), ["connect there"]);
  bench.connected();
  assertEquals(bench.request?.timestampMs, WALL_MS + Math.round(bench.nowMs));
});

Deno.test("only the supernode that was meant can let it in", () => {
  const answers: { name: string; answer: (request: AuthRequest) => ControlMessage; reason: string }[] = [
    {
      name: "another supernode",
      answer: (request) => answerBy(otherSupernode, request),
      reason: "answer_wrong_supernode",
    },
    { name: "an answer to another", answer: () => answerBy(supernode, goodRequest()), reason: "answer_bad_signature" },
    { name: "a pong", answer: () => ({ type: "pong", sequence: 1, serverTimeMs: 0 }), reason: "bad_answer" },
    { name: "a command", answer: () => COMMAND, reason: "bad_answer" },
  ];
  for (const { name, answer, reason } of answers) {
    const bench = new Bench();
    bench.client.start(0);
    bench.connected();
    const actions = bench.receive(answer(bench.request!));
    assertEquals(actions[0], "disconnect", name);
    assert(actions[1]?.startsWith(`down ${reason} `), `${name}: ${actions[1]}`);
  }
  const closed = new Bench({ network: closedNetwork });
  closed.client.start(0);
  closed.connected();
  assertEquals(closed.accept(), ["disconnect", "down answer_no_certificate 75000"]);
});

const KEY = `${"A".repeat(43)}=`;

function setupExit(expiresAtMs: number): ControlMessage {
  return {
    type: "command",
    kind: "SETUP_EXIT",
    commandId: idOf(3),
    sequence: 1,
    issuedAtMs: 0,
    deadlineAtMs: expiresAtMs,
    sessionId: idOf(1),
    payload: { clientPeerId: peer.peerId, clientWireguardKey: KEY, expiresAtMs },
  };
}

const COMMAND: ControlMessage = {
  type: "command",
  commandId: idOf(1),
  sequence: 1,
  issuedAtMs: WALL_MS,
  deadlineAtMs: WALL_MS + 1000,
  kind: "DISCONNECT",
  payload: { reason: "admin" },
};

function answerBy(identity: typeof supernode, request: AuthRequest): ControlMessage {
  const times = { serverTimeMs: WALL_MS, pingEveryMs: 10_000, timeoutMs: 30_000 };
  return makeAuthAnswer(request, identity, { region: "eu", ...times });
}

Deno.test("commands and answers are handed on, with the supernode's time to judge deadlines by", () => {
  const bench = new Bench();
  bench.wrongMs = 20_000;
  bench.open();
  assertEquals(bench.client.receive(JSON.stringify(COMMAND), 0), [
    { kind: "command", command: COMMAND, supernodeId: supernode.peerId },
  ]);
  assertEquals(bench.client.serverTimeMs, WALL_MS);
  const response: ControlMessage = { type: "info.response", requestId: idOf(1), what: "end_session" };
  assertEquals(bench.client.receive(JSON.stringify(response), 0), [{ kind: "response", response }]);
  assertEquals(bench.receive({ type: "ping", sequence: 1 }), ["send error", "rejected"]);
  assertEquals(bench.client.receive("{", 0).map(({ kind }) => kind), ["send", "rejected"]);
  assertEquals(bench.receive({ type: "error", code: "unknown_type" }), ["rejected"]);
});

Deno.test("a supernode cannot have its peers ping too often or never", () => {
  for (const [pingEveryMs, atMs] of [[0, 500], [86_400_000, 50_000]] as const) {
    const bench = new Bench();
    bench.client.start(0);
    bench.connected();
    const times = { serverTimeMs: WALL_MS, pingEveryMs, timeoutMs: 86_400_000 };
    bench.receive(makeAuthAnswer(bench.request!, supernode, { region: "eu", ...times }));
    assertLessOrEqual(bench.client.nextWakeAtMs, atMs);
    assertGreaterOrEqual(bench.client.nextWakeAtMs, 500);
  }
});

Deno.test("a peer that is more patient lets its supernode ask for more", () => {
  const bench = new Bench({ patience: { pingEveryMs: 180_000, timeoutMs: 540_000 } });
  bench.client.start(0);
  bench.connected();
  const times = { serverTimeMs: WALL_MS, pingEveryMs: 180_000, timeoutMs: 540_000 };
  bench.receive(makeAuthAnswer(bench.request!, supernode, { region: "eu", ...times }));
  assertEquals(bench.client.nextWakeAtMs, 90_000);
});

Deno.test("told to move it goes, at some time within what it was given, and at once if its supernode ends", () => {
  const bench = new Bench().open();
  assertEquals(bench.moveTo([THERE, HERE], 4000), []);
  assertEquals(bench.client.nextWakeAtMs, 2000);
  assertEquals(bench.wake(), ["disconnect", "down moved 0", "connect there"]);
  const ended = new Bench().open();
  ended.moveTo([THERE, HERE], 4000);
  assertEquals(ended.receive({ type: "error", code: "shutdown", retryAfterMs: 60_000 }), [
    "disconnect",
    "down shutdown 250",
  ]);
  assertEquals(ended.wake(), ["connect there"]);
});

Deno.test("told to move to where it is, or nowhere, it stays; while waiting it goes at once", () => {
  const bench = new Bench().open();
  assertEquals(bench.moveTo([HERE, THERE]), []);
  assertEquals(bench.moveTo([]), []);
  assertEquals(bench.client.state, "open");
  bench.closed();
  assertEquals(bench.moveTo([THERE], 60_000), ["connect there"]);
});

Deno.test("of no use, a supernode is left for the next, but not for none, and not to and fro", () => {
  const alone = new Bench().open();
  assertEquals(alone.client.moveOn(alone.nowMs), []);
  const two = new Bench({ supernodes: [HERE, THERE] });
  assertEquals(two.moveOn(), [], "not before it is open");
  two.open();
  assertEquals(two.moveOn(), ["disconnect", "down moved 0", "connect there"]);
  two.open();
  assertEquals(two.moveOn(), ["disconnect", "down moved 250"]);
  two.wake();
  two.connected();
  two.refuse("busy", { retryAfterMs: 60_000 });
  two.wake();
  two.open();
  assertEquals(two.client.supernode, THERE);
  assertEquals(two.moveOn(), [], "the other has no room");
});

Deno.test("told to ping at once it does, once it is open", () => {
  const bench = new Bench();
  assertEquals(bench.client.pingNow(0), []);
  bench.open();
  assertEquals(bench.client.pingNow(bench.nowMs).map(({ kind }) => kind), ["send"]);
});

Deno.test("stopped, it stays stopped", () => {
  const bench = new Bench().open();
  assertEquals(bench.client.stop(), [{ kind: "disconnect" }]);
  assertEquals([bench.closed(), bench.moveTo([THERE]), bench.connected()], [[], [], []]);
  assertEquals(bench.client.nextWakeAtMs, Infinity);
  assertEquals(bench.client.wake(1e9), []);
});

Deno.test("without a supernode there is nothing to do", () => {
  assertThrows(() => new Bench({ supernodes: [] }), CulvertError, "Cannot choose a supernode");
});

Deno.test("whatever a supernode says, it never throws, and always has a next step", () => {
  const anyText = fc.oneof(anyMessage.map((message) => JSON.stringify(message)), fc.string(), fc.json());
  fc.assert(
    fc.property(fc.boolean(), fc.array(anyText, { maxLength: 20 }), (isOpen, texts) => {
      const bench = new Bench({ identity: stranger });
      bench.client.start(0);
      bench.connected();
      if (isOpen) bench.accept();
      for (const text of texts) {
        assert(bench.client.receive(text, bench.nowMs += 10).length <= 3);
        assert(bench.client.nextWakeAtMs < Infinity);
      }
    }),
    { numRuns: 60 },
  );
});
