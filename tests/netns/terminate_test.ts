/** A client that hides nothing from its supernode has it terminate the tunnel, and notices nothing of an exit that fails. */

import { assert, assertEquals } from "@std/assert";
import { scenario } from "./fixtures/scenario.ts";
import { exitName } from "./fixtures/topology.ts";

const OPTIONS = { exits: 2, supernodeFlags: ["--terminate"] };

scenario(
  "a terminating relay: the client has an address of the relay, and comes out at an exit",
  OPTIONS,
  async (vpn) => {
    const { client, internet, supernodes } = vpn.topology;
    await vpn.startClient(["--relay", "terminate"]);
    const first = await vpn.exitInUse();
    assertEquals(await vpn.wayOf(), [supernodes[0].v4]);
    const { stdout } = await client.machine.run(["ip", "-o", "-4", "addr"]);
    assert(/ culvert\d+ +inet 10\.200\.\d+\.\d+\/32/.test(stdout), stdout);
    await client.machine.run(["ping", "-c3", "-i0.2", "-W2", internet.v4]);

    await vpn.kill(exitName(first));
    assertEquals(await vpn.exitInUse(), 1 - first);
    assertEquals(
      (await client.machine.run(["ip", "-o", "-4", "addr"])).stdout,
      stdout,
      "the client has changed nothing",
    );
    await vpn.startExit(first);
  },
);
