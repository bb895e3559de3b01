/**
 * One downstream as two processes with one store: central's hop is at the one, clients listen at the other.
 *
 *   central ─▶ balancer ─ hops ─▶ process 1 ─▶ store ─▶ process 2 ◀─ listeners ─ balancer ◀─ client
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { formatTarget, parseTarget } from "../../protocol/stream.ts";
import { freePort } from "../../testing/program.ts";
import { untilReachable } from "../../testing/socks_client.ts";
import { CheckedTarget, download, upload } from "../fixtures/checked_target.ts";
import { RelayNetwork } from "../fixtures/relay_network.ts";
import { TwoDoors } from "../fixtures/two_doors.ts";

/** More than has room in the store at once: what has none is lost, and sent again. */
const BYTES = 500_000;

for (const { name, query } of [{ name: "by WebSocket", query: "" }, { name: "by poll", query: "&post=1" }]) {
  Deno.test(`what central posts to one process of a downstream reaches a client at the other, ${name}`, async () => {
    await using target = new CheckedTarget();
    await using doors = new TwoDoors();
    await using network = new RelayNetwork();
    await network.base();
    const start = () => {
      const listen = ["--listen", `127.0.0.1:${freePort()}`, "--advertise", `http://${formatTarget(doors.address)}`];
      return network.start("downstream", [...listen, ...network.relayFlags()], "downstream");
    };
    const first = await start();
    const second = await start();
    assertEquals(first.peerId, second.peerId);
    const [hop, mailbox] = [first, second].map(({ addresses }) => parseTarget(addresses["listen"]!)!);
    doors.doors = { hop: hop!, mailbox: mailbox! };
    await Promise.all([network.startWatched("upstream"), network.startCentral()]);
    const url = `fragments+http://${network.baseHost}/?up=1&down=1&data=1&total=1&sessions=1${query}`;
    const { role, at } = await network.startProxy(url);
    await untilReachable(at, target.address);
    await download(at, target.address, { bytes: BYTES });
    await upload(at, target.address, { bytes: BYTES });
    assert(doors.visits.hop > 0 && doors.visits.mailbox > 0, JSON.stringify(doors.visits));
    assertMatch(await first.metrics(), /^downstream_hops_active 1$/m);
    assertMatch(await first.metrics(), /^downstream_messages_total 0$/m);
    assertMatch(await second.metrics(), /^downstream_hops_active 0$/m);
    assertMatch(await second.metrics(), /^downstream_mailboxes_active [1-9]/m);
    await role.program.stop();
  });
}
