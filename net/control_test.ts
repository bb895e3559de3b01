import { assertEquals, assertRejects } from "@std/assert";
import { clockOf } from "../protocol/clock.ts";
import { DialError } from "../protocol/errors.ts";
import { generateSecrets, Identity } from "../protocol/identity.ts";
import { type LogFields, silentLog } from "../protocol/log.ts";
import { noMetrics } from "../protocol/metrics.ts";
import { randomOf } from "../protocol/random.ts";
import { type ControlOptions, ControlStream } from "./control.ts";
import { FakeSupernode } from "./fixtures/fake_supernode.ts";
import { hostPrimitives } from "./host_primitives.ts";
import { PeerConnection } from "./peer_connection.ts";

const random = randomOf(crypto);
const primitives = hostPrimitives();

function optionsFor(supernodes: readonly FakeSupernode[]): ControlOptions {
  return {
    identity: new Identity(generateSecrets(random), primitives),
    role: "client",
    region: "here",
    supernodes: supernodes.map(({ address }) => address),
    primitives,
    random,
    clock: clockOf(globalThis),
    log: silentLog,
    metrics: noMetrics,
    backoff: { baseMs: 20, maxMs: 100 },
  };
}

/** Closes it and waits for its end, before the supernodes go. */
function closing<T extends { close(): void; closed(): Promise<void> }>(it: T): T & AsyncDisposable {
  return Object.assign(it, {
    async [Symbol.asyncDispose]() {
      it.close();
      await it.closed();
    },
  });
}

const forever = new AbortController().signal;

Deno.test("a question is answered once the stream is open, and a refusal is a dial error", async () => {
  await using supernode = new FakeSupernode();
  supernode.answer = ({ requestId, what }) =>
    Promise.resolve(
      what === "sessions"
        ? { type: "info.response", requestId, what, sessionIds: [] }
        : { type: "info.response", requestId, what: "failed", reason: "no_exit" },
    );
  await using control = closing(new ControlStream(optionsFor([supernode])));
  assertEquals((await control.request({ what: "sessions" })).sessionIds, []);
  const error = await assertRejects(() => control.request({ what: "exit", wish: {} }), DialError);
  assertEquals(error.code, "host_unreachable");
});

Deno.test("one that is busy is left for the next supernode", async () => {
  await using full = new FakeSupernode({ isFull: () => ({ reason: "busy", retryAfterMs: 60_000 }) });
  await using free = new FakeSupernode();
  await using control = closing(new ControlStream(optionsFor([full, free])));
  await control.opened(forever);
  assertEquals(control.supernode, free.address);
});

Deno.test("a supernode that is not the one that was named gets nothing from us", async () => {
  await using impostor = new FakeSupernode();
  await using honest = new FakeSupernode();
  const options = optionsFor([honest]);
  const swapped = { url: impostor.address.url, supernodeId: options.identity.peerId };
  await using control = closing(new ControlStream({ ...options, supernodes: [swapped, honest.address] }));
  await control.opened(forever);
  assertEquals(control.supernode, honest.address);
  assertEquals(impostor.auths, []);
});

Deno.test("what is asked when the stream is lost fails, and what is asked afterwards waits for it", async () => {
  await using supernode = new FakeSupernode();
  const options = optionsFor([supernode]);
  await using control = closing(new ControlStream(options));
  await control.opened(forever);
  const asked = Promise.withResolvers<void>();
  const { promise: tooLate, resolve } = Promise.withResolvers<void>();
  supernode.answer = async ({ requestId }) => {
    asked.resolve();
    await tooLate;
    return { type: "info.response", requestId, what: "sessions", sessionIds: ["never"] };
  };
  const lost = assertRejects(() => control.request({ what: "sessions" }), DialError, "lost");
  await asked.promise;
  supernode.answer = ({ requestId }) =>
    Promise.resolve({ type: "info.response", requestId, what: "sessions", sessionIds: [] });
  supernode.cutControl(options.identity.peerId);
  await lost;
  assertEquals((await control.request({ what: "sessions" })).sessionIds, []);
  resolve();
});

Deno.test("what waits for the stream to open fails when it is closed instead", async () => {
  await using supernode = new FakeSupernode({ isFull: () => ({ reason: "busy", retryAfterMs: 60_000 }) });
  await using control = closing(new ControlStream(optionsFor([supernode])));
  const asked = assertRejects(() => control.request({ what: "sessions" }), DialError, "closed");
  control.close();
  await asked;
});

Deno.test("a peer that moves takes its data link along; what is open on the old one goes on", async () => {
  await using old = new FakeSupernode();
  await using next = new FakeSupernode();
  const options = optionsFor([old]);
  const { peerId } = options.identity;
  const linked = (supernode: FakeSupernode) => new Promise<void>((resolve) => supernode.onLink = () => resolve());
  const atOld = linked(old);
  await using connection = closing(new PeerConnection(options));
  await atOld;
  const stream = await connection.open(forever);
  const atNext = linked(next);
  connection.control.moveTo([next.address]);
  await atNext;
  assertEquals([old.hasLink(peerId), next.hasLink(peerId)], [true, true]);
  assertEquals(await stream.write(Uint8Array.of(1)), 1);
  (await connection.open(forever)).close();
  stream.close();
});

Deno.test("a supernode that has moved to another address is followed there with the data link", async () => {
  await using old = new FakeSupernode();
  await using moved = new FakeSupernode({ identity: old.identity });
  const options = optionsFor([old]);
  const linked = (supernode: FakeSupernode) => new Promise<void>((resolve) => supernode.onLink = () => resolve());
  const atOld = linked(old);
  await using connection = closing(new PeerConnection(options));
  await atOld;
  const atMoved = linked(moved);
  connection.control.moveTo([{ ...old.address, url: moved.address.url }]);
  await atMoved;
});

Deno.test("why there is no stream is told in words, with the supernode that was meant", async () => {
  const said: unknown[] = [];
  const { promise: told, resolve } = Promise.withResolvers<void>();
  const log = {
    ...silentLog,
    warn(_message: string, fields: LogFields = {}) {
      said.push([fields["reason"], fields["error"]]);
      if (said.length === 2) resolve();
    },
  };
  await using other = new FakeSupernode();
  const stranger = new Identity(generateSecrets(random), primitives).peerId;
  const nobody = { url: "http://127.0.0.1:1/", supernodeId: stranger };
  const misnamed = { ...other.address, supernodeId: stranger };
  await using _control = closing(new ControlStream({ ...optionsFor([]), supernodes: [nobody, misnamed], log }));
  await told;
  assertEquals(said, [
    ["unreachable", "http://127.0.0.1:1/: Connection refused (os error 111)"],
    ["wrong_supernode", "another supernode answers at that URL: check the peer id before its @"],
  ]);
});
