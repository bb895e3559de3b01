/**
 * What strangers and peers try at a supernode's relay port, over real WebSockets: tokens that are none, streams of
 * sessions that are not theirs, headers that are no headers.
 */

import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import type { MuxStream } from "../net/mux.ts";
import { readReply } from "../net/read_frame.ts";
import { DialError } from "../protocol/errors.ts";
import { encodeRelayHeader } from "../protocol/relay.ts";
import { writeAll } from "../protocol/stream.ts";
import { openSession } from "../protocol/session.ts";
import { AttackedSupernode, newIdentity } from "./fixtures/attacked_supernode.ts";

async function refusalOf(stream: MuxStream): Promise<string> {
  return await readReply(stream, "it").then(
    () => "none",
    (error) => error instanceof DialError ? error.code : "protocol",
  );
}

const tokens: readonly {
  readonly name: string;
  readonly token: (at: AttackedSupernode) => Promise<string | undefined>;
}[] = [
  { name: "no token", token: () => Promise.resolve(undefined) },
  { name: "a token that was never given out", token: () => Promise.resolve("A".repeat(32)) },
  {
    name: "a token that has been used",
    async token(at) {
      const { relayToken } = await at.join();
      (await at.dialRelay(relayToken)).close();
      return relayToken;
    },
  },
  {
    name: "a token that is a minute old",
    async token(at) {
      const { relayToken } = await at.join();
      at.clock.advance(60_000);
      return relayToken;
    },
  },
];

for (const { name, token } of tokens) {
  Deno.test(`no data link is opened with ${name}`, async () => {
    await using at = await AttackedSupernode.start();
    const given = await token(at);
    const error = await assertRejects(() => at.dialRelay(given), DialError);
    assertEquals(error.code, "unauthorized");
    assertStringIncludes(await at.metrics.text(), 'web_port_refused_total{reason="unauthorized"} 1');
  });
}

Deno.test("streams of sessions that are not there, or another's, are refused, and the link stays", async () => {
  await using at = await AttackedSupernode.start();
  const mine = newIdentity();
  const { relayToken } = await at.join(mine, { role: "client" });
  const other = newIdentity();
  at.supernode.sessions.add(openSession({
    sessionId: "of-another",
    clientPeerId: other.peerId,
    clientWireguardKey: at.auth(other).wireguardKey,
    clientSupernodeId: at.identity.peerId,
    wish: {},
    candidates: [],
    expiresAtMs: at.clock.wallNow() + 600_000,
  }, at.clock.wallNow()));
  using link = await at.dialRelay(relayToken);
  for (const sessionId of ["nothing-here", "of-another"]) {
    const stream = link.open();
    await writeAll(stream, encodeRelayHeader({ kind: "toExit", sessionId, trail: [] })!);
    assertEquals(await refusalOf(stream), "unauthorized");
    stream.close();
  }
  const backwards = link.open();
  await writeAll(backwards, encodeRelayHeader({ kind: "fromClient", sessionId: "of-another", trail: [] })!);
  assertEquals(await refusalOf(backwards), "unsupported");
  backwards.close();
  const metrics = await at.metrics.text();
  assertStringIncludes(metrics, 'relay_streams_total{outcome="unauthorized"} 2');
  assertStringIncludes(metrics, 'relay_streams_total{outcome="unsupported"} 1');
  assertEquals(link.closed, false);
});

Deno.test("whatever a stream begins with is refused, and its link stays", async () => {
  await using at = await AttackedSupernode.start();
  const { relayToken } = await at.join();
  using link = await at.dialRelay(relayToken);
  const header = encodeRelayHeader({ kind: "toExit", sessionId: "session", trail: [{ name: "x", at: "y" }] })!;
  const mutated = fc.tuple(fc.nat(header.length - 1), fc.integer({ min: 0, max: 255 })).map(([at, byte]) => {
    const copy = header.slice();
    copy[at] = byte;
    return copy;
  });
  const anything = fc.oneof(fc.uint8Array({ minLength: 1, maxLength: 300 }), mutated);
  await fc.assert(
    fc.asyncProperty(anything, async (bytes) => {
      const stream = link.open();
      await writeAll(stream, bytes);
      await stream.closeWrite();
      await refusalOf(stream);
      stream.close();
    }),
    { numRuns: 100 },
  );
  assertEquals(link.closed, false);
  const last = link.open();
  await writeAll(last, header);
  assertEquals(await refusalOf(last), "unauthorized");
  last.close();
});

Deno.test("a stream that never says where to is ended after ten seconds", async () => {
  await using at = await AttackedSupernode.start();
  const { relayToken } = await at.join();
  using link = await at.dialRelay(relayToken);
  const stream = link.open();
  await writeAll(stream, Uint8Array.of(1));
  // What others say meanwhile keeps the link alive, and their answers show that all before them has arrived.
  for (let second = 0; second <= 10; second++) {
    const other = link.open();
    await writeAll(other, encodeRelayHeader({ kind: "toExit", sessionId: "session", trail: [] })!);
    assertEquals(await refusalOf(other), "unauthorized");
    other.close();
    at.clock.advance(1000);
  }
  assertEquals([await refusalOf(stream), link.closed], ["protocol", false]);
  stream.close();
});

Deno.test("a peer that opens too many streams is refused those, and keeps the others", async () => {
  await using at = await AttackedSupernode.start();
  const { relayToken } = await at.join();
  using link = await at.dialRelay(relayToken);
  const streams: MuxStream[] = [];
  for (let count = 0; count < 1100; count++) {
    const stream = link.open();
    streams.push(stream);
    await writeAll(stream, Uint8Array.of(1));
  }
  assertEquals(await refusalOf(streams.at(-1)!), "busy");
  assertEquals(link.closed, false);
  assertStringIncludes(await at.metrics.text(), 'relay_streams_total{outcome="too_many"} 76');
  for (const stream of streams) stream.close();
});
