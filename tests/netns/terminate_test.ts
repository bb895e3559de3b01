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
    await vpn.startExit(first); // to take away what the killed one has left
  },
);

scenario(
  "a terminating relay that is killed goes on with its clients, at the addresses they had",
  { supernodes: 1, supernodeFlags: ["--terminate"] },
  async (vpn) => {
    const { client } = vpn.topology;
    await vpn.startClient(["--relay", "terminate"]);
    await vpn.exitInUse();
    const addressOf = async () =>
      / inet (10\.200\.\S+)/.exec((await client.machine.run(["ip", "-o", "-4", "addr"])).stdout)?.[1];
    const address = await addressOf();
    assert(address);
    await vpn.kill("sn-a");
    await vpn.startSupernode(0);
    await vpn.exitInUse();
    assertEquals(await addressOf(), address);
  },
);
