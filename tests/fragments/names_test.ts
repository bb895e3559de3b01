/**
 * Names of sessions in the wrong hands: an opening that is made again, and one under the name of somebody else's session.
 * The session that has the name goes on as if nothing were.
 */

import { assert } from "@std/assert";
import { ALIAS_BYTES, CENTRAL_ID_BYTES, CLIENT_HEAD_BYTES, MessageKind } from "../../protocol/fragment/messages.ts";
import { eventually } from "../../testing/waiting.ts";
import { untilReachable } from "../../testing/socks_client.ts";
import type { RoleProcess } from "../chaos/fixtures/processes.ts";
import { CheckedTarget, download } from "../fixtures/checked_target.ts";
import { type MessageSender, openSender } from "../fixtures/message_sender.ts";
import { FragmentNetwork } from "../fixtures/relay_network.ts";

const BYTES = 4_000_000;

async function openings(network: FragmentNetwork, outcome: string): Promise<number> {
  const metrics = await network.central.metrics();
  return Number(new RegExp(`central_openings_total{outcome="${outcome}"} (\\d+)`).exec(metrics)?.[1] ?? 0);
}

Deno.test("two clients with one name", async (test) => {
  await using target = new CheckedTarget();
  await using network = await FragmentNetwork.start({ upstreams: 2, downstreams: 2, query: "sessions=1" });
  const [{ meddler, role }] = network.upstreams as [typeof network.upstreams[0]];
  const said: Uint8Array<ArrayBuffer>[] = [];
  for (const each of network.upstreams) {
    each.meddler.meddle = (message, direction) => {
      if (direction === "to_server" && each.meddler === meddler) said.push(message.slice());
      return [message];
    };
  }
  // Who starts now opens a session while we look; by the other upstream first, it may be.
  await network.proxy.program.stop();
  let at = network.at;
  let proxy: RoleProcess | undefined;
  await eventually("an opening by the first upstream", async () => {
    await proxy?.program.stop();
    ({ role: proxy, at } = await network.network.startProxy(network.url));
    await untilReachable(at, target.address);
    return said.some(([kind]) => kind === MessageKind.OPEN);
  });
  const opening = said.findLast(([kind]) => kind === MessageKind.OPEN)!;
  const alias = opening.slice(1 + CENTRAL_ID_BYTES, CLIENT_HEAD_BYTES);
  await using stranger: MessageSender = await openSender(`ws://${role.addresses["listen"]}/v1/fragments`);

  await test.step("an opening that comes again opens nothing", async () => {
    const before = await openings(network, "replayed");
    stranger.send(opening);
    await eventually("that it was noticed", async () => await openings(network, "replayed") > before);
    await download(at, target.address, { bytes: BYTES });
  });

  await test.step("an opening under another's name opens nothing", async () => {
    const before = await openings(network, "foreign");
    for (const each of network.upstreams) {
      each.meddler.meddle = (message, direction) => {
        if (direction === "to_server" && message[0] === MessageKind.OPEN) message.set(alias, 1 + CENTRAL_ID_BYTES);
        return [message];
      };
    }
    const { role: second } = await network.network.startProxy(network.url);
    await eventually("that it was noticed", async () => await openings(network, "foreign") > before);
    await download(at, target.address, { bytes: BYTES });
    await second.program.stop();
  });

  await test.step("what is said under its name by others is not heard", async () => {
    const rubbish = crypto.getRandomValues(new Uint8Array(CLIENT_HEAD_BYTES + 2 + 512));
    rubbish.set(opening.subarray(0, CLIENT_HEAD_BYTES));
    rubbish[0] = MessageKind.DATA;
    rubbish.set([2, 0], CLIENT_HEAD_BYTES);
    const data = said.filter(([kind]) => kind === MessageKind.DATA).map((each) => each.slice());
    for (const each of [rubbish, ...data]) each.set(alias, 1 + CENTRAL_ID_BYTES);
    assert(data.length > 0 && alias.length === ALIAS_BYTES);
    await download(at, target.address, {
      bytes: BYTES,
      onProgress: () => void [rubbish, ...data.slice(0, 5)].forEach((each) => stranger.send(each)),
    });
  });
});
