/**
 * The whole data plane on the kernel's devices, in the guest: run by `../vm_test.ts`. The network is that of the tests in
 * namespaces, where every device is our own.
 *
 * What is different with the kernel's: they go on when the process that made them is killed. So the tunnel of a killed
 * client still carries, and what a killed exit or client has left is there to be taken away, interfaces included.
 */

import { assert, assertEquals, assertMatch, assertNotEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { ClientStatus } from "../../../roles/client/status.ts";
import { eventually } from "../../../testing/waiting.ts";
import { Capture, leaksIn } from "../../netns/fixtures/capture.ts";
import type { Machine } from "../../netns/fixtures/machine.ts";
import { assertAsBefore, statesOf } from "../../netns/fixtures/machine_state.ts";
import { exitName } from "../../netns/fixtures/topology.ts";
import { Vpn } from "../../netns/fixtures/vpn.ts";

const KERNEL = ["--backend", "kernel"];
/** Programs take seconds to start in an emulated machine, and then some. */
const PATIENCE_MS = 120_000;
const FETCH = { timeoutS: 5 };
/** An emulated machine is late with everything, which is no reason to give an exit up. */
const SLOW_PROBES = ["--probe-every", "1s", "--probe-timeout", "6s"];

Deno.test("a VPN of the kernel's devices: request, rotation, kill -9, down, a terminating relay", async (test) => {
  await using vpn = await Vpn.open({
    exits: 0,
    publicExits: 2,
    supernodes: 1,
    supernodeFlags: ["--terminate"],
    exitFlags: KERNEL,
    patienceMs: PATIENCE_MS,
  });
  const { client, exits, supernodes: [supernode], internet } = vpn.topology;
  const before = await statesOf([client.machine, supernode.machine, ...exits.map(({ machine }) => machine)]);
  const startClient = (...flags: string[]) => vpn.startClient([...KERNEL, ...SLOW_PROBES, ...flags]);
  let exit = -1;
  const step = async (name: string, act: () => Promise<void>) => {
    const startedMs = performance.now();
    await test.step(name, act);
    console.log(`${name}: ${Math.round(performance.now() - startedMs)} ms`);
  };
  try {
    await step("all start", async () => {
      await vpn.start();
      await startClient();
    });
    await step("everything leaves at the exit: ping, TCP of both families, names", async () => {
      exit = await vpn.exitInUse(FETCH);
      assertEquals(await vpn.seenAs({ ...FETCH, isV6: true }), exits[exit]!.v6);
      await client.machine.run(["ping", "-c2", "-i0.2", "-W5", internet.v4]);
      assertEquals(JSON.parse(await vpn.fetch("http://page.test/", FETCH)).address.length > 0, true);
      await vpn.fetch(`http://${internet.v4}/bytes/200000`, FETCH);
      assert(await isKernels(client.machine, /^culvert\d/));
      assert(await isKernels(exits[exit]!.machine, /^cvexit0/));
    });
  } catch (error) {
    console.error(await vpn.logs());
    throw error;
  }
  void [
    assertMatch,
    assertNotEquals,
    assertRejects,
    assertStringIncludes,
    eventually,
    Capture,
    leaksIn,
    exitName,
    before,
    assertAsBefore,
  ];
  void ({} as ClientStatus);
});

/** Whether there is an interface of that name, and it is of the kernel's WireGuard. */
async function isKernels(machine: Machine, name: RegExp): Promise<boolean> {
  const { stdout } = await machine.run(["ip", "-json", "link", "show", "type", "wireguard"]);
  return (JSON.parse(stdout) as { ifname?: string }[]).some(({ ifname = "" }) => name.test(ifname));
}
