/**
 * The whole data plane on the kernel's devices, in the guest: run by `../vm_test.ts`. The network is that of the tests in
 * namespaces, where every device is our own.
 *
 * What is different with the kernel's: they go on when the process that made them is killed. So the tunnel of a killed
 * client still carries, and what a killed exit or client has left is there to be taken away, interfaces included.
 *
 * One test, since every program that starts takes seconds in an emulated machine.
 */

import { assert, assertEquals, assertMatch, assertNotEquals, assertRejects } from "@std/assert";
import { eventually } from "../../../testing/waiting.ts";
import { Capture, leaksIn } from "../../netns/fixtures/capture.ts";
import type { Machine } from "../../netns/fixtures/machine.ts";
import { assertAsBefore, statesOf } from "../../netns/fixtures/machine_state.ts";
import { exitName } from "../../netns/fixtures/topology.ts";
import { Vpn } from "../../netns/fixtures/vpn.ts";

const PATIENCE_MS = 120_000;
const FETCH = { timeoutS: 5 };
const KERNEL = ["--backend", "kernel"];
/** An emulated machine is late with everything, which is no reason to give an exit up. */
const PROBES = ["--probe-every", "1s", "--probe-timeout", "6s"];
const LEFT_BEHIND = "Taking away what a run that was killed has left";

Deno.test("a VPN of the kernel's devices", async (test) => {
  await using vpn = await Vpn.open({
    exits: 0,
    publicExits: 2,
    supernodes: 1,
    hasBase: false,
    supernodeFlags: ["--terminate"],
    exitFlags: KERNEL,
    patienceMs: PATIENCE_MS,
    drainTimeoutS: 5,
  });
  const { client, exits, supernodes: [supernode], internet } = vpn.topology;
  const before = await statesOf([client, supernode, ...exits].map(({ machine }) => machine));
  let exit = -1;
  const changed = async () => {
    const left = exit;
    await eventually("the client comes out at the other exit", async () => {
      exit = await vpn.exitInUse(FETCH);
      return exit !== left;
    }, { limitMs: PATIENCE_MS });
  };
  const startClient = (...flags: string[]) => vpn.startClient([...KERNEL, ...PROBES, ...flags]);
  const step = async (name: string, act: () => Promise<void>) => assert(await test.step(name, act), await vpn.logs());

  await step("all start", async () => {
    await vpn.start();
    await startClient();
    exit = await vpn.exitInUse(FETCH);
  });
  await step("everything leaves at the exit: ping, TCP of both families, names", async () => {
    assertEquals(await vpn.seenAs({ ...FETCH, isV6: true }), exits[exit]!.v6);
    await client.machine.run(["ping", "-c2", "-i0.2", "-W5", internet.v4]);
    assertEquals((await vpn.fetch(`http://${internet.v4}/bytes/200000`, FETCH)).length, 200_000);
    const { address } = JSON.parse(await vpn.fetch("http://page.test/", FETCH));
    assert([exits[exit]!.v4, exits[exit]!.v6].includes(address), address);
    assertMatch((await kernelLinks(client.machine)).join(), /^culvert\d/);
    assertMatch((await kernelLinks(exits[exit]!.machine)).join(), /^cvexit0/);
  });
  await step("the client's NAT is punched from beside the kernel's port: no relay is needed", async () => {
    await eventually(
      "datagrams go to the exit",
      async () => (await vpn.wayOf()).join() === exits[exit]!.v4,
      { limitMs: PATIENCE_MS },
    );
    assertEquals(await vpn.seenAs(FETCH), exits[exit]!.v4);
  });
  await step("the client is rotated to the other exit", async () => {
    await vpn.ask("client", ["client", "rotate"]);
    await changed();
  });
  await step("an exit is killed: the client leaves it, and its next start takes the kernel's device away", async () => {
    const [killed, { machine }] = [exit, exits[exit]!];
    await vpn.kill(exitName(killed));
    const [left] = await kernelLinks(machine);
    assertMatch(left!, /^cvexit0/);
    await Promise.all([changed(), vpn.startExit(killed)]);
    await vpn.logged(exitName(killed), LEFT_BEHIND);
    const [made] = await kernelLinks(machine);
    assertMatch(made!, /^cvexit0/);
    assertNotEquals(made, left);
  });
  await step("a client is killed: nothing leaks with its device, and nothing leaves without", async () => {
    await vpn.kill("client");
    await using capture = await Capture.start(client.machine);
    const page = (host: string) => vpn.fetch(`http://${host}/`, { timeoutS: 2 });
    const seen = await vpn.seenAs({ timeoutS: 2 }).catch(() => "nobody");
    assert(["nobody", ...exits.map(({ v4 }) => v4)].includes(seen), `seen as ${seen}`);
    for (const link of await kernelLinks(client.machine)) {
      await client.machine.run(["ip", "link", "delete", link.split(" ")[0]!]);
    }
    for (const host of [internet.v4, `[${internet.v6}]`, "page.test"]) await assertRejects(() => page(host));
    assertEquals(leaksIn(await capture.stop(), vpn.underlay), []);
  });
  await step("`client down` takes away what it has left", async () => {
    await vpn.ask("client", ["client", "down"]);
    assertEquals(await vpn.seenAs(FETCH), client.v4);
    await assertAsBefore(new Map([...before].filter(([machine]) => machine === client.machine)));
  });
  await step("a terminating relay: both its sides are the kernel's", async () => {
    await startClient("--relay", "terminate");
    exit = await vpn.exitInUse(FETCH);
    assertEquals(await vpn.wayOf(), [supernode.v4]);
    const { stdout } = await client.machine.run(["ip", "-o", "-4", "addr"]);
    assertMatch(stdout, / culvert\d+ +inet 10\.200\.\d+\.\d+\/32/);
    const links = await kernelLinks(supernode.machine);
    assert(links.length >= 2 && links.some((link) => link.startsWith("wg-relay")), links.join());
    await vpn.kill(exitName(exit));
    await changed();
    assertEquals((await client.machine.run(["ip", "-o", "-4", "addr"])).stdout, stdout, "the client notices nothing");
    await vpn.startExit(1 - exit);
  });
  await step("all end well, and every machine is as it was", async () => {
    assertEquals(Object.entries(await vpn.stop()).filter(([, code]) => code !== 0), []);
    await assertAsBefore(before);
  });
});

/** The interfaces that are of the kernel's WireGuard, each by name and index. */
async function kernelLinks(machine: Machine): Promise<string[]> {
  const { stdout } = await machine.run(["ip", "-o", "link", "show", "type", "wireguard"]);
  return [...stdout.matchAll(/^(\d+): ([^:@]+)/gm)].map(([, index, name]) => `${name} ${index}`);
}
