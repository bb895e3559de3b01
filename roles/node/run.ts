/**
 * A node from its start to its end: says what it will share, gets its owner's consent, shares until it is told to stop.
 */

import { hostPrimitives } from "../../net/host_primitives.ts";
import { aborted } from "../../protocol/abort.ts";
import { serveControlSocket } from "../control_socket.ts";
import { openPolicy } from "../egress_policy.ts";
import { loadOrCreateIdentity } from "../identity_store.ts";
import { readPem } from "../pem_file.ts";
import type { RoleContext } from "../role.ts";
import { StateDirectory } from "../state.ts";
import { agree, type Owner, terminalOwner } from "./agreement.ts";
import { type NodeRequest, nodeSocketPath, nodeWords } from "./control.ts";
import { nodePolicy } from "./policy.ts";
import { NodeFiles } from "./records.ts";
import { RunningNode } from "./running_node.ts";
import { limitsOf, type NodeConfig, requireSensible } from "./settings.ts";
import { offerLines, pauseLines } from "./words.ts";

export async function runNode(
  config: NodeConfig,
  context: RoleContext,
  owner: Owner = terminalOwner(context.tell),
): Promise<void> {
  requireSensible(config);
  const { clock, signal, hardSignal, stateDir } = context;
  const { caFile } = config;
  const caCerts = caFile === undefined
    ? undefined
    : [await readPem(caFile, { flag: "--ca-file", action: "start node" })];
  const primitives = hostPrimitives();
  const { identity } = await loadOrCreateIdentity(await StateDirectory.open(stateDir), { ...context, primitives });
  const files = await NodeFiles.open(stateDir, clock);
  using source = await openPolicy(config.egressPolicy, context);
  const policy = nodePolicy(source, limitsOf(config));
  const offer = offerLines(config, policy.current);
  const urls = config.orchestrator.map(({ url }) => url);
  const consents = await agree({ ...config, urls, offer, owner, files, identity, primitives, clock, signal });
  const up = Promise.withResolvers<void>();
  await using node = await RunningNode.start({
    ...{ config, consents, policy, files, identity, primitives, caCerts, context },
    onUp: () => up.resolve(),
  });
  const withdrawn = Promise.withResolvers<void>();
  await using _control = await serveControlSocket({
    path: nodeSocketPath(stateDir),
    words: nodeWords,
    clock,
    log: context.log,
    answer: (request, signal) => obey(request, { node, signal, withdraw: () => withdrawn.resolve() }),
  });
  context.check("orchestrator", () => node.problem);
  context.check("sharing", () => node.pauses[0]?.text);
  void up.promise.then(() => {
    const [paused] = pauseLines(node.pauses, clock.wallNow());
    context.ready({
      addresses: {},
      note: `peer ${identity.peerId}, ${paused === undefined ? "sharing" : `paused: ${paused}`}`,
    });
  });
  await Promise.race([aborted(signal), withdrawn.promise, node.fault]);
  await node.drain(hardSignal);
}

interface Obeying {
  readonly node: RunningNode;
  readonly signal: AbortSignal;
  withdraw(): void;
}

async function obey(request: NodeRequest, { node, signal, withdraw }: Obeying) {
  switch (request.do) {
    case "pause":
      await node.pause(request.forMs);
      break;
    case "resume":
      await node.resume();
      break;
    case "withdraw":
      node.cut("its owner has withdrawn consent");
      withdraw();
  }
  return await node.report(signal);
}
