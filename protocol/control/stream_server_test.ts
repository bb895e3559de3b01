import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { anyMessage } from "./fixtures/arbitraries.ts";
import { goodRequest, idOf, peer, stranger, supernode, WALL_MS } from "./fixtures/people.ts";
import { ADDRESS, namesOf, StreamRig } from "./fixtures/stream_rig.ts";
import { AuthLimits } from "./auth_limits.ts";
import type { ControlMessage } from "./messages.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { StreamServer } from "./stream_server.ts";

const PING: ControlMessage = { type: "ping", sequence: 1 };
const ORDER = { commandId: idOf(1), kind: "DISCONNECT", payload: { reason: "admin" }, timeoutMs: 60_000 } as const;

Deno.test("a stream opens with a good request and the owner's consent", () => {
  const rig = new StreamRig();
  const stream = rig.unproven();
  const request = goodRequest();
  const proven = stream.receive(JSON.stringify(request), 0);
  assertEquals(namesOf(proven), ["proven"]);
  assertEquals(stream.state, "proven");
  assertEquals(stream.peer?.peerId, peer.peerId);
  const accepted = stream.accept({ queue: rig.queue(), relayToken: "0123456789abcdef" }, 0);
  assertEquals(namesOf(accepted), ["send auth ok"]);
  assertEquals(stream.state, "open");
  assertEquals(stream.accept({ queue: rig.queue() }, 0), [], "once");
});

Deno.test("whoever does not begin as they should is told why, counted once and thrown out", () => {
  const rows: { name: string; text: string; reason: string }[] = [
    { name: "not JSON", text: "hello", reason: "malformed" },
    { name: "a ping first", text: JSON.stringify(PING), reason: "wrong_first_message" },
    { name: "an unknown type first", text: `{"type":"x"}`, reason: "wrong_first_message" },
    {
      name: "an oversize request",
      text: JSON.stringify({ ...goodRequest(), pad: "x".repeat(9000) }),
      reason: "too_large",
    },
    {
      name: "a request with a field missing",
      text: JSON.stringify({ ...goodRequest(), nonce: undefined }),
      reason: "malformed",
    },
    { name: "a stale request", text: JSON.stringify(goodRequest({ timestampMs: WALL_MS - 90_000 })), reason: "stale" },
    {
      name: "a forged one",
      text: JSON.stringify({ ...goodRequest(), signature: goodRequest().signature }),
      reason: "bad_signature",
    },
    {
      name: "another's peer id",
      text: JSON.stringify({ ...goodRequest(), peerId: stranger.peerId }),
      reason: "wrong_peer_id",
    },
  ];
  for (const { name, text, reason } of rows) {
    const stream = new StreamRig().unproven();
    const expected = [`send auth ${reason}`, `refused ${reason}`, "close 1008 refused"];
    assertEquals(namesOf(stream.receive(text, 0)), expected, name);
    assertEquals(stream.state, "closed", name);
    assertEquals(stream.receive(text, 0), [], name);
    assertEquals(stream.nextWakeAtMs, Infinity, name);
  }
});

Deno.test("a request that was taken once is not taken on another stream", () => {
  const rig = new StreamRig();
  const request = goodRequest();
  rig.open(request);
  assertEquals(rig.receive(rig.unproven(), request), ["send auth replayed", "refused replayed", "close 1008 refused"]);
});

Deno.test("a peer whose clock is wrong is told the time", () => {
  const actions = new StreamRig().unproven().receive(JSON.stringify(goodRequest({ timestampMs: 0 })), 0);
  const message = actions[0]?.kind === "send" ? actions[0].message : undefined;
  assertEquals(message, { type: "auth.response", ok: false, reason: "stale", serverTimeMs: WALL_MS });
});

Deno.test("when full it says so, and when to come back, before anything is looked at", () => {
  const rig = new StreamRig({ isFull: () => ({ reason: "busy", retryAfterMs: 1500.2 }) });
  const actions = rig.unproven().receive("anything", 0);
  assertEquals(namesOf(actions), ["send auth busy", "refused busy", "close 1008 refused"]);
  const message = actions[0]?.kind === "send" ? actions[0].message : undefined;
  assertEquals(message, { type: "auth.response", ok: false, reason: "busy", retryAfterMs: 1501 });
});

Deno.test("tries are limited by address, and by peer id only for that peer itself", () => {
  const one = { perSecond: 1, burst: 1 };
  const many = { perSecond: 100, burst: 100 };
  const byAddress = new StreamRig({ limits: new AuthLimits(new SeededRandom(1), { address: one, peer: many }) });
  byAddress.open();
  assertEquals(byAddress.receive(byAddress.unproven(), goodRequest())[0], "send auth rate_limited");
  const byPeer = new StreamRig({ limits: new AuthLimits(new SeededRandom(1), { address: many, peer: one }) });
  for (let at = 0; at < 5; at++) {
    byPeer.receive(byPeer.unproven(), { ...goodRequest(), signature: goodRequest().signature });
  }
  assertEquals(namesOf(byPeer.open().actions), ["proven", "send auth ok"]);
  assertEquals(byPeer.receive(byPeer.unproven(), goodRequest())[0], "send auth rate_limited");
});

Deno.test("a stream that says nothing is closed", () => {
  const rig = new StreamRig({ authWithinMs: 5000 });
  const stream = rig.unproven();
  assertEquals(stream.nextWakeAtMs, 5000);
  assertEquals(stream.wake(4999), []);
  assertEquals(namesOf(stream.wake(5000)), ["send auth timeout", "refused timeout", "close 1008 refused"]);
});

Deno.test("the owner may refuse whom the signature proved, and nothing is heard in between", () => {
  const rig = new StreamRig();
  const stream = rig.unproven();
  rig.receive(stream, goodRequest());
  assertEquals(namesOf(stream.refuse("busy", 1000)), ["send auth busy", "refused busy", "close 1008 refused"]);
  const hasty = rig.unproven();
  rig.receive(hasty, goodRequest());
  assertEquals(rig.receive(hasty, PING), ["send error unexpected", "rejected unexpected", "close 1008 unexpected"]);
  assertEquals(hasty.accept({ queue: rig.queue() }, 0), [], "it has gone meanwhile");
});

Deno.test("a ping is answered and keeps the stream alive; without one for 30 s it is dropped", () => {
  const rig = new StreamRig();
  const { stream } = rig.open();
  rig.nowMs = 29_999;
  const telemetry = { load: 0.5 };
  const actions = stream.receive(JSON.stringify({ ...PING, telemetry }), rig.nowMs);
  assertEquals(actions, [
    { kind: "send", message: { type: "pong", sequence: 1, serverTimeMs: WALL_MS + 29_999 } },
    { kind: "heartbeat", telemetry },
  ]);
  assertEquals(stream.nextWakeAtMs, 59_999);
  assertEquals(namesOf(stream.wake(59_999)), ["send error timeout", "rejected timeout", "close 1008 timeout"]);
});

Deno.test("what the peer says that it should not is answered, counted, and does not end the stream", () => {
  const rows: { name: string; text: string; code: string }[] = [
    { name: "an unknown type", text: `{"type":"gossip"}`, code: "unknown_type" },
    { name: "nonsense", text: "{", code: "malformed" },
    { name: "another auth request", text: JSON.stringify(goodRequest()), code: "unexpected" },
    { name: "a pong", text: JSON.stringify({ type: "pong", sequence: 1, serverTimeMs: 1 }), code: "unexpected" },
    {
      name: "an info.response",
      text: JSON.stringify({ type: "info.response", requestId: idOf(1), what: "end_session" }),
      code: "unexpected",
    },
  ];
  for (const { name, text, code } of rows) {
    const { stream } = new StreamRig().open();
    assertEquals(namesOf(stream.receive(text, 0)), [`send error ${code}`, `rejected ${code}`], name);
    assertEquals(stream.state, "open", name);
  }
});

Deno.test("an oversize message, a binary one and a flood end the stream", () => {
  const rig = new StreamRig({ chatter: { perSecond: 1, burst: 3 } });
  const oversize = rig.open().stream.receive(" ".repeat(70_000), 0);
  assertEquals(namesOf(oversize), ["send error too_large", "rejected too_large", "close 1009 too_large"]);
  assertEquals(namesOf(rig.open().stream.receiveTooLarge()), namesOf(oversize), "of which nothing was kept");
  assertEquals(namesOf(rig.unproven().receiveTooLarge()), [
    "send auth too_large",
    "refused too_large",
    "close 1008 refused",
  ]);
  assertEquals(namesOf(rig.open().stream.receiveBinary()), [
    "send error unexpected",
    "rejected unexpected",
    "close 1008 unexpected",
  ]);
  assertEquals(namesOf(rig.unproven().receiveBinary()), [
    "send auth malformed",
    "refused malformed",
    "close 1008 refused",
  ]);
  for (const text of [JSON.stringify(PING), "{", JSON.stringify({ type: "error", code: "internal" })]) {
    const { stream } = rig.open();
    for (let at = 0; at < 3; at++) stream.receive(text, 0);
    assertEquals(namesOf(stream.receive(text, 0)), ["send error too_fast", "rejected too_fast", "close 1008 too_fast"]);
  }
  const { stream } = rig.open();
  for (let second = 0; second < 20; second++) assert(stream.receive(JSON.stringify(PING), second * 1000).length === 2);
});

Deno.test("answers to commands are not chatter; answers to none are", () => {
  const rig = new StreamRig({ chatter: { perSecond: 0.001, burst: 1 } });
  const { stream, queue } = rig.open();
  for (let number = 1; number <= 10; number++) {
    queue.push({ ...ORDER, commandId: idOf(number) }, 0);
    const result: ControlMessage = { type: "command.result", commandId: idOf(number), status: "applied" };
    assertEquals(rig.receive(stream, result), ["done", "changed"]);
  }
  const stray: ControlMessage = { type: "command.result", commandId: idOf(99), status: "applied" };
  assertEquals(rig.receive(stream, stray), []);
  assertEquals(rig.receive(stream, stray).at(-1), "close 1008 too_fast");
});

Deno.test("commands wait for the peer, are sent when it comes, and again when they are not answered", () => {
  const rig = new StreamRig();
  const queue = rig.queue();
  queue.push(ORDER, 0);
  const { stream, actions } = rig.open(undefined, queue);
  assertEquals(namesOf(actions), ["proven", "send auth ok", "changed", "send command"]);
  assertEquals(stream.nextWakeAtMs, 5000);
  assertEquals(namesOf(stream.wake(5000)), ["send command"]);
});

Deno.test("what the peer resumes counts only if it is of this supernode", () => {
  const rig = new StreamRig();
  const queue = rig.queue();
  queue.push(ORDER, 0);
  rig.open(goodRequest({ resume: { supernodeId: stranger.peerId, lastSequence: 40 } }), queue);
  assertEquals(queue.snapshot().commands[0]?.command.sequence, 1);
  const later = rig.queue();
  later.push(ORDER, 0);
  rig.open(goodRequest({ resume: { supernodeId: supernode.peerId, lastSequence: 40 } }), later);
  assertEquals(later.snapshot().commands[0]?.command.sequence, 41);
});

Deno.test("of two streams of one peer the newest wins, and the queue goes with it", () => {
  const rig = new StreamRig();
  const { stream: older, queue } = rig.open();
  const newer = rig.unproven();
  rig.receive(newer, goodRequest());
  assertEquals(namesOf(older.end("replaced")), ["send error replaced", "close 1000 replaced"]);
  newer.accept({ queue }, 0);
  older.closed();
  assertEquals(namesOf(queue.push(ORDER, 0)!), ["changed", "send command"], "the older one's end has not touched it");
  assertEquals(rig.receive(older, PING), []);
});

Deno.test("a stream can be ended from our side, and a lost one leaves the queue waiting", () => {
  for (const [reason, code] of [["revoked", 1008], ["shutdown", 1001], ["internal", 1011]] as const) {
    const { stream } = new StreamRig().open();
    assertEquals(namesOf(stream.end(reason, 500)), [`send error ${reason}`, `close ${code} ${reason}`]);
    assertEquals(stream.end(reason), []);
  }
  const { stream, queue } = new StreamRig().open();
  stream.closed();
  assertEquals(namesOf(queue.push(ORDER, 0)!), ["changed"]);
});

Deno.test("what a client asks is handed on", () => {
  const rig = new StreamRig();
  const { stream } = rig.open();
  const request: ControlMessage = { type: "info.request", requestId: idOf(4), what: "exit", wish: { region: "us" } };
  assertEquals(stream.receive(JSON.stringify(request), 0), [{ kind: "request", request }]);
});

Deno.test("whatever comes, in whatever state, it answers with a bounded number of actions and never throws", () => {
  const anyText = fc.oneof(anyMessage.map((message) => JSON.stringify(message)), fc.string(), fc.json());
  fc.assert(
    fc.property(fc.boolean(), fc.array(anyText, { maxLength: 20 }), (isOpen, texts) => {
      const rig = new StreamRig();
      const stream = isOpen ? rig.open().stream : new StreamServer(rig.context, ADDRESS, 0);
      for (const text of texts) assert(stream.receive(text, rig.nowMs += 10).length <= 4);
      stream.wake(rig.nowMs + 100_000);
      assertEquals(stream.state, "closed");
    }),
    { numRuns: 60 },
  );
});
