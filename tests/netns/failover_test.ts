/** The exit in use is lost, in three ways that look different from outside, and nobody at the client does anything. */

import { assertEquals, assertLessOrEqual } from "@std/assert";
import { FAULTS, moveTo } from "./fixtures/faults.ts";
import { scenario } from "./fixtures/scenario.ts";
import { TcpProbe } from "./fixtures/tcp_probe.ts";
import { exitName } from "./fixtures/topology.ts";

const LIMIT_MS = 3000;
/** What the machine's NAT may be seen as after a move. */
const ELSEWHERE = "11.7.0.141";

for (const { name, strike, mend } of FAULTS) {
  scenario(`failover: the exit is ${name}, and TCP works again within 3 s`, { exits: 2 }, async (vpn) => {
    const { client, internet, exits } = vpn.topology;
    await vpn.startClient();
    await vpn.exitInUse();
    await using probe = await TcpProbe.start(client.machine, internet.v4);
    // On a machine that is very busy the client may have changed its exit by now.
    const before = await probe.worksAgain(Date.now());
    const first = exits.findIndex(({ v4 }) => v4 === before.address);
    const struckMs = Date.now();
    await strike(vpn, first);
    const { tookMs, address } = await probe.worksAgain(struckMs);
    assertEquals(address, exits[1 - first]!.v4);
    assertLessOrEqual(tookMs, LIMIT_MS);
    await mend(vpn, first);
  });
}

scenario(
  "an exit that has recovered is not gone back to, and is there when the next one fails",
  { exits: 2 },
  async (vpn) => {
    await vpn.startClient();
    const first = await vpn.exitInUse();
    const other = 1 - first;
    await vpn.kill(exitName(first));
    assertEquals(await vpn.exitInUse(), other);
    await vpn.startExit(first);
    await vpn.logged(exitName(first), "The control stream is open", 2);
    assertEquals(await vpn.exitInUse(), other);
    await vpn.kill(exitName(other));
    assertEquals(await vpn.exitInUse(), first);
    // What it has left on its machine its next start takes away.
    await vpn.startExit(other);
  },
);

for (const flags of [["--no-direct"], []]) {
  const way = flags.length > 0 ? "by the relay" : "directly";
  scenario(`the client is in another network, and TCP works again within 3 s, ${way}`, {}, async (vpn) => {
    const { client, internet } = vpn.topology;
    await vpn.startClient(flags);
    await vpn.exitInUse();
    if (flags.length === 0) await vpn.logged("client", "Direct to the exit");
    await using probe = await TcpProbe.start(client.machine, internet.v4);
    await probe.worksAgain(Date.now());
    await moveTo(client, ELSEWHERE);
    const { tookMs } = await probe.worksAgain(Date.now());
    assertLessOrEqual(tookMs, LIMIT_MS);
    await moveTo({ ...client, v4: ELSEWHERE }, client.v4);
    await probe.worksAgain(Date.now());
  });
}
