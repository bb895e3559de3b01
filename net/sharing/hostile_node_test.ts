import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { MUX_HEADER_BYTES, MuxCommand, writeMuxHeader } from "../../protocol/mux_frame.ts";
import { DialError } from "../../protocol/errors.ts";
import { makeAnswer } from "../../protocol/sharing/node_auth.ts";
import type { NodeRefusal } from "../../protocol/sharing/node_messages.ts";
import { encodeTunnelReply } from "../../protocol/tunnel.ts";
import { anyBytes } from "../../testing/fuzz.ts";
import { identityOf, nodeInfo, NodeRig, type RigOptions } from "./fixtures/node_rig.ts";
import { RawNode } from "./fixtures/raw_node.ts";

/** One hostile node at an orchestrator. */
async function withRaw(run: (rig: NodeRig, node: RawNode) => Promise<void>, options: RigOptions = {}): Promise<void> {
  const rig = new NodeRig(options);
  const node = new RawNode(rig.socket());
  await rig.clock.advanceAsync(1);
  await run(rig, node);
  node.close();
  await rig.end();
  assertEquals(rig.clock.pendingTimers, 0);
  assertEquals(rig.tunnels.size, 0);
}

function muxFrame(command: number, streamId: number, payload: Uint8Array = new Uint8Array(0)): Uint8Array {
  const frame = new Uint8Array(MUX_HEADER_BYTES + payload.length);
  writeMuxHeader(frame, 0, 2, command, payload.length, streamId);
  frame.set(payload, MUX_HEADER_BYTES);
  return frame;
}

interface Row {
  readonly name: string;
  readonly code: NodeRefusal;
  /** Whether it says a good hello first. */
  readonly isIn: boolean;
  act(node: RawNode): void;
}

const rows: Row[] = [
  { name: "says nothing that is a message", code: "malformed", isIn: false, act: (node) => node.text("rubbish") },
  {
    name: "begins with anything but a hello",
    code: "unexpected",
    isIn: false,
    act: (node) => node.send({ type: "resume" }),
  },
  {
    name: "says a hello that is far too long",
    code: "too_large",
    isIn: false,
    act: (node) => node.text("x".repeat(30_000)),
  },
  {
    name: "sends bytes before it is welcomed",
    code: "unexpected",
    isIn: false,
    act: (node) => node.bytes(new Uint8Array(8)),
  },
  {
    name: "signs with another's key",
    code: "wrong_node_id",
    isIn: false,
    act: (node) => node.hello({}, { publicKey: identityOf(5).publicKey.toBase64() }),
  },
  {
    name: "shows a hello that it did not sign",
    code: "bad_signature",
    isIn: false,
    act: (node) => node.hello({}, { runId: "A".repeat(22) }),
  },
  {
    name: "asks for a tunnel beyond those it may have",
    code: "too_many_tunnels",
    isIn: false,
    act: (node) => node.hello({ tunnel: { index: 3, count: 4 } }),
  },
  { name: "says hello twice", code: "unexpected", isIn: true, act: (node) => node.hello() },
  { name: "says rubbish once it is in", code: "malformed", isIn: true, act: (node) => node.text("{}") },
  { name: "says a text beyond the limit", code: "too_large", isIn: true, act: (node) => node.text("x".repeat(70_000)) },
  {
    name: "floods with small texts",
    code: "flooded",
    isIn: true,
    act(node) {
      for (let count = 0; count < 1000; count++) node.send({ type: "resume" });
    },
  },
  {
    name: "floods with unknown texts",
    code: "flooded",
    isIn: true,
    act(node) {
      for (let count = 0; count < 5; count++) node.text(`{"type":"gossip","padding":"${"x".repeat(50_000)}"}`);
    },
  },
  {
    name: "opens a stream itself",
    code: "unexpected",
    isIn: true,
    act: (node) => node.bytes(muxFrame(MuxCommand.SYN, 3)),
  },
  {
    name: "answers a challenge that nobody made",
    code: "liveness",
    isIn: true,
    act: (node) => node.send(makeAnswer(node.identity, node.challenge, node.welcome!.sessionId)),
  },
];

for (const { name, code, isIn, act } of rows) {
  Deno.test(`a node that ${name} is told so and let go, and it is noted`, () =>
    withRaw(async (rig, node) => {
      if (isIn) {
        node.hello();
        await rig.clock.advanceAsync(1);
        assert(node.welcome, node.refused?.reason);
      }
      act(node);
      await rig.clock.advanceAsync(50);
      assertEquals(node.refused?.code, code);
      await rig.clock.advanceAsync(3000);
      assert(node.isOver);
      assertEquals(rig.tunnels.size, 0);
      if (code !== "too_many_tunnels") assertEquals(rig.incidents.map((incident) => incident.code), [code]);
    }, { maxTunnels: 2 }));
}

Deno.test("who says nothing after the handshake is let go", () =>
  withRaw(async (rig, node) => {
    await rig.clock.advanceAsync(10_001);
    assertEquals(node.refused?.code, "timeout");
  }));

Deno.test("a hello that was good on one connection is worth nothing on the next", () =>
  withRaw(async (rig, node) => {
    node.hello();
    await rig.clock.advanceAsync(1);
    const second = new RawNode(rig.socket(), node.identity);
    await rig.clock.advanceAsync(1);
    second.heard.push(node.challenge);
    second.hello();
    await rig.clock.advanceAsync(1);
    assertEquals(second.refused?.code, "bad_signature");
    assertEquals(rig.tunnels.size, 1);
    second.close();
  }));

Deno.test("a node that stalls over its pings is let go, and its streams fail", () =>
  withRaw(async (rig, node) => {
    node.hello();
    await rig.clock.advanceAsync(1);
    const live = rig.tunnels.get(node.identity.peerId)!;
    const dialled = assertRejects(() => live.path.dial({ host: "example.com", port: 443 }), DialError);
    // It sends bytes all the time, which is no answer.
    for (let second = 0; second < 100 && !node.refused; second++) {
      node.bytes(muxFrame(MuxCommand.NOP, 0));
      await rig.clock.advanceAsync(1000);
    }
    assertEquals(node.refused?.code, "timeout");
    assertEquals((await dialled).code, "path_down");
    assert(live.gone.aborted);
  }));

Deno.test("pongs that nobody asked for neither keep a node alive nor tell a round trip", () =>
  withRaw(async (rig, node) => {
    node.hello();
    await rig.clock.advanceAsync(1);
    const live = rig.tunnels.get(node.identity.peerId)!;
    for (let second = 0; second < 100 && !node.refused; second++) {
      node.send({ type: "pong", sequence: 1_000_000 });
      await rig.clock.advanceAsync(1000);
    }
    assertEquals(live.rttMs, undefined);
    assertEquals(node.refused?.code, "timeout");
  }));

Deno.test("a node that answers pings but not a challenge is let go", () =>
  withRaw(async (rig, node) => {
    node.hello();
    await rig.clock.advanceAsync(1);
    for (let beat = 0; beat < 20 && !node.refused; beat++) {
      await rig.clock.advanceAsync(20_000);
      node.send({ type: "pong", sequence: node.last("ping")!.sequence });
      await rig.clock.advanceAsync(1);
    }
    assertEquals(node.refused?.code, "liveness");
  }, { livenessMs: 40_000 }));

Deno.test("a dial is answered with what the node says, or fails as the node's fault: rubbish, silence, the link's end", () =>
  withRaw(async (rig, node) => {
    node.hello();
    await rig.clock.advanceAsync(1);
    const live = rig.tunnels.get(node.identity.peerId)!;
    const dial = (signal?: AbortSignal) =>
      assertRejects(() => live.path.dial({ host: "example.com", port: 443 }, { ...(signal && { signal }) }), DialError);
    const refused = dial();
    await rig.clock.advanceAsync(1);
    node.bytes(muxFrame(MuxCommand.PSH, 2, encodeTunnelReply({ failure: "denied", message: "not that one" })));
    assertEquals((await rig.clock.runUntil(refused)).code, "denied");

    const rubbish = dial();
    await rig.clock.advanceAsync(1);
    node.bytes(muxFrame(MuxCommand.PSH, 4, new Uint8Array(100).fill(7)));
    assertEquals((await rig.clock.runUntil(rubbish)).code, "path_down");

    const silent = new AbortController();
    const waiting = dial(silent.signal);
    await rig.clock.advanceAsync(1);
    silent.abort(new DialError("timeout", "the node does not answer"));
    assertEquals((await waiting).code, "timeout");
    assertEquals(live.streams, 0);

    const cut = dial();
    await rig.clock.advanceAsync(1);
    node.close();
    assertEquals((await rig.clock.runUntil(cut)).code, "path_down");
  }));

Deno.test("a node that sends more than was granted loses its tunnel, and holds no more than that", () =>
  withRaw(async (rig, node) => {
    node.hello();
    await rig.clock.advanceAsync(1);
    const live = rig.tunnels.get(node.identity.peerId)!;
    const dialled = live.path.dial({ host: "example.com", port: 443 });
    await rig.clock.advanceAsync(1);
    node.bytes(muxFrame(MuxCommand.PSH, 2, encodeTunnelReply({ message: "" })));
    const stream = await rig.clock.runUntil(dialled);
    for (let sent = 0; sent < 1024 * 1024; sent += 32_768) {
      node.bytes(muxFrame(MuxCommand.PSH, 2, new Uint8Array(32_768)));
    }
    await rig.clock.advanceAsync(1);
    await assertRejects(() => stream.read(new Uint8Array(1)).then(() => stream.read(new Uint8Array(1 << 20))));
    assertEquals(rig.gone, ["window_exceeded"]);
    assertEquals(rig.incidents.map(({ code, reason }) => [code, reason]), [
      ["flooded", "More bytes came than were granted"],
    ]);
    assert(live.session.downBytes < 512 * 1024);
  }));

Deno.test("any bytes and texts after the welcome end the tunnel or do nothing", async () => {
  await fc.assert(
    fc.asyncProperty(anyBytes(200), fc.array(fc.string(), { maxLength: 5 }), async (bytes, texts) => {
      await withRaw(async (rig, node) => {
        node.hello();
        await rig.clock.advanceAsync(1);
        node.bytes(bytes);
        for (const text of texts) node.text(text);
        await rig.clock.advanceAsync(10);
      });
    }),
    { numRuns: 50 },
  );
});

Deno.test("of a node that says all the time that it has changed, little is written down, and the newest is known", async () => {
  const models: (string | undefined)[] = [];
  await withRaw(async (rig, node) => {
    node.hello();
    await rig.clock.advanceAsync(1);
    for (let at = 0; at < 20; at++) node.send({ type: "update", info: { ...nodeInfo, model: `model ${at}` } });
    await rig.clock.advanceAsync(50);
    assertEquals(models, ["model 0", "model 1", "model 2", "model 3", "model 4"]);
    assertEquals(rig.tunnels.get(node.identity.peerId)!.info.model, "model 19");
  }, { onUpdate: (_node, { info }) => void models.push(info?.model) });
});

Deno.test("strangers of one address wait when there are too many, those of others do not", async () => {
  const rig = new NodeRig({ authLimits: { address: { perSecond: 1, burst: 3 } } });
  const isTaken = (address: string) => "take" in rig.tunnels.onWebsocket({ path: "/v1/node", remoteAddress: address });
  assertEquals([1, 2, 3, 4].map(() => isTaken("192.0.2.9")), [true, true, true, false]);
  assertEquals(isTaken("192.0.2.10"), true);
  await rig.end();
});

Deno.test("a node that comes again and again is told to wait", async () => {
  const rig = new NodeRig();
  const identity = identityOf(100);
  const nodes: RawNode[] = [];
  for (let count = 0; count < 10; count++) {
    const node = new RawNode(rig.socket(), identity);
    nodes.push(node);
    await rig.clock.advanceAsync(1);
    node.hello();
    await rig.clock.advanceAsync(1);
  }
  assertEquals(nodes.at(-1)!.refused?.code, "rate_limited");
  assert(nodes.at(-1)!.refused!.retryAfterMs! > 0);
  for (const node of nodes) node.close();
  await rig.end();
});
