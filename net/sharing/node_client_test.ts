import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { CulvertError, DialError } from "../../protocol/errors.ts";
import type { EarningsFigures, NodeRefusal, NodeStatus } from "../../protocol/sharing/node_messages.ts";
import type { Stream } from "../../protocol/stream.ts";
import { identityOf, idleStatus, nodeInfo, NodeRig, type RigOptions, type TestNode } from "./fixtures/node_rig.ts";
import type { NodeClientOptions } from "./node_client.ts";
import type { ConnectedNode } from "./connected_node.ts";

/** One node that is up. */
async function withNode(
  run: (rig: NodeRig, node: TestNode, live: ConnectedNode) => Promise<void>,
  options: { readonly rig?: RigOptions; readonly node?: Partial<NodeClientOptions> } = {},
): Promise<void> {
  const rig = new NodeRig(options.rig);
  const node = rig.node(options.node);
  await rig.clock.runUntil(node.client.ready());
  await rig.clock.advanceAsync(1);
  await run(rig, node, rig.tunnels.get(node.nodeId)!);
  await rig.end(node);
  assertEquals(rig.clock.pendingTimers, 0);
}

const target = { host: "example.com", port: 443 };

Deno.test("a node may have several tunnels, streams are spread over them, and one that is lost comes back", () =>
  withNode(async (rig, node, live) => {
    assertEquals([live.tunnels, node.client.tunnels], [3, 3]);
    const streams = await rig.clock.runUntil(Promise.all([1, 2, 3, 4, 5, 6].map(() => live.path.dial(target))));
    assertEquals(live.all().map((tunnel) => tunnel.streamCount), [2, 2, 2]);
    rig.sockets[1]!.abort();
    await rig.clock.advanceAsync(1);
    assertEquals([live.tunnels, live.streams, live.isOpen, live.gone.aborted], [2, 4, true, false]);
    await rig.clock.advanceAsync(2000);
    assertEquals([live.tunnels, node.client.tunnels], [3, 3]);
    for (const stream of streams) stream.close();
  }, { node: { tunnels: 3 } }));

Deno.test("a node asks for no more tunnels than it may have", () =>
  withNode((_rig, node, live) => {
    assertEquals([live.tunnels, node.client.tunnels], [2, 2]);
    return Promise.resolve();
  }, { node: { tunnels: 4 }, rig: { maxTunnels: 2 } }));

Deno.test("heartbeats tell the round trip and how the node is doing, and a quiet node stays for hours", () => {
  const status: NodeStatus = { ...idleStatus, streams: 5, battery: { percent: 40, isCharging: false } };
  const heard: NodeStatus[] = [];
  return withNode(async (rig, _node, live) => {
    await rig.clock.advanceAsync(3 * 3_600_000);
    assertEquals(rig.tunnels.get(live.nodeId), live);
    assertEquals([live.status, heard.length], [status, 540]);
    assertEquals(live.rttMs, 0);
    assertEquals(rig.sockets.length, 1);
  }, { node: { status: () => status }, rig: { onStatus: (_node, said) => heard.push(said) } });
});

Deno.test("a paused node is given no new streams, keeps those it has, and says so again when it comes back", () =>
  withNode(async (rig, node, live) => {
    const stream = await rig.clock.runUntil(live.path.dial(target));
    node.client.pause("battery");
    await rig.clock.advanceAsync(1);
    assertEquals([live.isOpen, live.pausedFor, live.streams], [false, "battery", 1]);
    assertEquals((await assertRejects(() => live.path.dial(target), DialError)).code, "path_down");
    stream.close();
    rig.sockets[0]!.abort();
    await rig.clock.advanceAsync(2000);
    const again = rig.tunnels.get(node.nodeId)!;
    assert(again !== live);
    assertEquals(again.isOpen, false);
    node.client.resume();
    await rig.clock.advanceAsync(1);
    assertEquals(again.isOpen, true);
  }));

Deno.test("a node that drains is given no new streams and goes with its last one", () =>
  withNode(async (rig, node, live) => {
    const stream = await rig.clock.runUntil(live.path.dial(target));
    let isDrained = false;
    node.client.drain(new AbortController().signal).then(() => isDrained = true);
    await rig.clock.advanceAsync(60_000);
    assertEquals([live.isOpen, live.streams, isDrained], [false, 1, false]);
    stream.close();
    await rig.clock.advanceAsync(100);
    assertEquals([isDrained, rig.tunnels.size], [true, 0]);
  }));

Deno.test("an orchestrator that drains gives nodes no new streams, and they come back no sooner than it said", () =>
  withNode(async (rig, node, live) => {
    const stream = await rig.clock.runUntil(live.path.dial(target));
    let isDrained = false;
    const drained = rig.tunnels.drain(new AbortController().signal, 60_000).then(() => isDrained = true);
    await rig.clock.advanceAsync(1000);
    assertEquals([live.isOpen, isDrained], [false, false]);
    assertEquals(node.events.at(-1)?.kind, "drain");
    stream.close();
    await rig.clock.runUntil(drained);
    rig.tunnels.close();
    await rig.clock.advanceAsync(50_000);
    assertEquals(rig.sockets.length, 1);
  }));

Deno.test("a node is told its earnings from the ledger, or that it cannot be told", () => {
  const figures: EarningsFigures = { asOfMs: 1, balanceMicros: "7", pendingMicros: "0", earnedMicros: "9" };
  let isThere = true;
  const earnings = () => isThere ? Promise.resolve(figures) : Promise.reject(new Error("away"));
  return withNode(async (rig, node) => {
    assertEquals(await rig.clock.runUntil(node.client.earnings()), figures);
    isThere = false;
    const failure = await rig.clock.runUntil(assertRejects(() => node.client.earnings(), DialError));
    assertEquals(failure.code, "busy");
    for (let count = 0; count < 10; count++) await rig.clock.runUntil(node.client.earnings().catch(() => {}));
    isThere = true;
    await rig.clock.runUntil(assertRejects(() => node.client.earnings(), DialError)); // asked too often
    await rig.clock.advanceAsync(60_000);
    const asked = node.client.earnings();
    rig.sockets[0]!.abort();
    assertEquals((await rig.clock.runUntil(assertRejects(() => asked, DialError))).code, "path_down");
  }, { rig: { earnings } });
});

Deno.test("a notice reaches the node's owner, and what a node says anew of itself the orchestrator", () =>
  withNode(async (rig, node, live) => {
    rig.tunnels.notify(node.nodeId, "You are good now", { standing: "good" });
    node.client.update({ info: { ...nodeInfo, network: "mobile" } });
    await rig.clock.advanceAsync(1);
    assertEquals(node.events.at(-1), { kind: "notice", text: "You are good now", standing: { standing: "good" } });
    assertEquals(live.info.network, "mobile");
  }));

Deno.test("a node that is disconnected comes back after a while, one that is banned much later", () =>
  withNode(async (rig, node, live) => {
    rig.tunnels.disconnect(node.nodeId, "for a test");
    await rig.clock.advanceAsync(1);
    assert(live.gone.aborted);
    await rig.clock.advanceAsync(9_000);
    assertEquals(rig.tunnels.size, 0);
    await rig.clock.advanceAsync(5_000);
    assertEquals(rig.tunnels.size, 1);
    rig.tunnels.disconnect(node.nodeId, "it lies", "banned");
    rig.admit = () => Promise.resolve({ code: "banned", reason: "it lies", retryAfterMs: 3_600_000 });
    const sockets = rig.sockets.length;
    await rig.clock.advanceAsync(3_500_000);
    assertEquals([rig.tunnels.size, rig.sockets.length], [0, sockets]);
    await rig.clock.advanceAsync(200_000);
    assertEquals(rig.sockets.length, sockets + 1);
  }));

Deno.test("after a refusal that only the owner can do something about, the node stops and says why", async () => {
  for (const code of ["bad_code", "consent_needed", "unknown_node"] satisfies NodeRefusal[]) {
    const rig = new NodeRig();
    rig.admit = () => Promise.resolve({ code, reason: "no" });
    const node = rig.node();
    await rig.clock.runUntil(assertRejects(() => node.client.ready(), DialError));
    await rig.clock.advanceAsync(3_600_000);
    assertEquals([node.client.refusal?.code, rig.sockets.length], [code, 1]);
    assertEquals(node.events, [{ kind: "refused", refused: node.client.refusal!, isFinal: true }]);
    await rig.end(node);
    assertEquals(rig.clock.pendingTimers, 0);
  }
});

Deno.test("a node whose identity is in use twice does not fight for its place", async () => {
  const rig = new NodeRig();
  const first = rig.node();
  await rig.clock.runUntil(first.client.ready());
  const second = rig.node();
  await rig.clock.runUntil(second.client.ready());
  await rig.clock.advanceAsync(50_000);
  assertEquals([first.client.tunnels, second.client.tunnels, rig.sockets.length], [0, 1, 2]);
  await rig.end(first, second);
});

/** A socket that takes what is written and from which nothing comes any more, once told. */
class MutedStream implements Stream {
  isMuted = false;
  readonly #stream: Stream;
  #silence = Promise.withResolvers<null>();

  constructor(stream: Stream) {
    this.#stream = stream;
  }

  async read(into: Uint8Array): Promise<number | null> {
    const count = await this.#stream.read(into);
    return this.isMuted ? this.#silence.promise : count;
  }

  write(from: Uint8Array): Promise<number> {
    return this.isMuted ? Promise.resolve(from.length) : this.#stream.write(from);
  }

  closeWrite(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {
    this.#silence.resolve(null);
    if (!this.isMuted) this.#stream.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

Deno.test("a tunnel on which nothing comes any more is given up by both ends, and made anew", async () => {
  const rig = new NodeRig();
  const sockets: MutedStream[] = [];
  rig.wrap = (stream) => {
    sockets.push(new MutedStream(stream));
    return sockets.at(-1)!;
  };
  const node = rig.node();
  await rig.clock.runUntil(node.client.ready());
  sockets[0]!.isMuted = true;
  await rig.clock.advanceAsync(110_000);
  const live = rig.tunnels.get(node.nodeId)!;
  assertEquals([sockets.length, node.client.tunnels, live.tunnels, live.isOpen], [2, 1, 1, true]);
  await rig.end(node);
});

Deno.test("a node speaks to no other orchestrator than the one that is meant", async () => {
  const rig = new NodeRig();
  const node = rig.node({ orchestratorId: identityOf(55).peerId });
  await rig.clock.advanceAsync(60_000);
  assertEquals([node.client.tunnels, rig.tunnels.size], [0, 0]);
  assert(rig.sockets.length > 1);
  await rig.end(node);
  assertEquals(rig.clock.pendingTimers, 0);
});

Deno.test("a node has one to four tunnels", () => {
  const rig = new NodeRig();
  for (const tunnels of [0, 5, 1.5]) assertThrows(() => rig.node({ tunnels }), CulvertError, "tunnels must be 1 to 4");
  rig.tunnels.close();
});
