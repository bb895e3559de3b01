/** A node that knows plain smux only, as libraries of it are: it comes in, is dialled through, and stays. */

import { assertEquals } from "@std/assert";
import { noMetrics } from "../../protocol/metrics.ts";
import { makeAnswer, makeHello, newNodeToken } from "../../protocol/sharing/node_auth.ts";
import {
  type FromOrchestrator,
  MAX_NODE_MESSAGE_BYTES,
  parseFromOrchestrator,
} from "../../protocol/sharing/node_messages.ts";
import { readFull, type Stream, writeAll } from "../../protocol/stream.ts";
import { BufferPool } from "../buffer_pool.ts";
import { MuxConnection } from "../mux.ts";
import { TunnelLinks } from "../tunnel_link.ts";
import { consentOf, echoPath, identityOf, idleStatus, nodeEgress, nodeInfo, NodeRig } from "./fixtures/node_rig.ts";
import { NodeLink } from "./node_link.ts";

/** Says what it has to, and serves streams by plain smux. */
function startPlainNode(rig: NodeRig, stream: Stream, links: TunnelLinks) {
  const { clock, random } = rig;
  const identity = identityOf(100);
  let sessionId: string | undefined;
  const say = (message: FromOrchestrator) => {
    if (message.type === "ping") link.send({ type: "pong", sequence: message.sequence, status: idleStatus });
    else if (message.type === "welcome") enter(message.sessionId);
    else if (message.type === "challenge" && sessionId) link.send(makeAnswer(identity, message, sessionId));
    else if (message.type === "challenge") {
      link.send(makeHello(identity, message, {
        nonce: newNodeToken(random),
        runId: newNodeToken(random),
        tunnel: { index: 0, count: 1 },
        consent: consentOf(identity),
        info: nodeInfo,
        egress: nodeEgress,
      }));
    }
  };
  const enter = (id: string) => {
    sessionId = id;
    // As smux itself does by default: a NOP every 10 s, and 30 s of silence are the end.
    const mux = new MuxConnection(link, clock, { role: "client" });
    mux.onStream = (opened) => links.serveStream(opened, { onward: echoPath, hops: [] });
    mux.start();
  };
  const link: NodeLink<FromOrchestrator> = new NodeLink(stream, {
    first: new Uint8Array(0),
    random,
    pool: new BufferPool(),
    clock,
    maxTextBytes: MAX_NODE_MESSAGE_BYTES,
    parse: parseFromOrchestrator,
    onMessage: say,
    onFault: () => link.close(),
    onEnd: () => {},
  });
  link.open();
  return { nodeId: identity.peerId, close: () => link.close() };
}

Deno.test("a node that knows plain smux only is dialled through, and stays for hours", async () => {
  const rig = new NodeRig();
  const links = new TunnelLinks({ clock: rig.clock, metrics: noMetrics });
  const node = startPlainNode(rig, rig.socket(), links);
  await rig.clock.advanceAsync(2 * 3_600_000);
  const live = rig.tunnels.get(node.nodeId)!;
  assertEquals([live.isOpen, rig.sockets.length], [true, 1]);
  const stream = await rig.clock.runUntil(live.path.dial({ host: "example.com", port: 443 }));
  const sent = Uint8Array.from({ length: 500_000 }, (_, at) => at * 7);
  const got = new Uint8Array(sent.length);
  const reading = readFull(stream, got);
  await rig.clock.runUntil(writeAll(stream, sent));
  assertEquals(await rig.clock.runUntil(reading), true);
  assertEquals(got, sent);
  await stream.closeWrite();
  assertEquals(await rig.clock.runUntil(stream.read(got)), null);
  stream.close();
  node.close();
  links.close();
  await rig.end();
  await links.closed();
  assertEquals(rig.clock.pendingTimers, 0);
});
