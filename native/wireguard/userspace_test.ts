/** The life of the engine's Worker: how it begins, fails, is asked and ends. What devices do: `userspace_contract_test.ts`. */

import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { CulvertError } from "../../protocol/errors.ts";
import { NetLab, type NetNamespace } from "../../testing/netns.ts";
import { testWith } from "../../testing/requirements.ts";
import { inNamespace } from "../fixtures/in_namespace.ts";
import { openLibc } from "../libc.ts";
import { RtNetlink } from "../rtnetlink.ts";
import { UdpPort } from "../udp.ts";
import type { WireGuardDevice } from "./device.ts";
import { openUserspaceDevice } from "./userspace.ts";

const needs = { netns: true, files: ["/dev/net/tun"] };

/** Its Worker starts in the namespace because this thread is there. */
function openIn(namespace: NetNamespace, name: string): Promise<WireGuardDevice> {
  return inNamespace(namespace, () => openUserspaceDevice({ name }));
}

/** The ports of a namespace, and how many TUN devices this process holds. */
async function whatIsOpen(namespace: NetNamespace): Promise<string> {
  const { stdout } = await namespace.run(["cat", "/proc/net/udp", "/proc/net/udp6"]);
  const targets = Array.from(Deno.readDirSync("/proc/self/fd"), ({ name }) => {
    try {
      return Deno.readLinkSync(`/proc/self/fd/${name}`);
    } catch {
      return "closed meanwhile";
    }
  });
  return stdout + targets.filter((target) => target === "/dev/net/tun").length;
}

testWith(needs, "a device that cannot be made says why, and leaves nothing open", async () => {
  await using lab = await NetLab.open();
  const namespace = await lab.namespace("a");
  await using first = await openIn(namespace, "wg0");
  const before = await whatIsOpen(namespace);
  await assertRejects(() => openIn(namespace, "wg0"), CulvertError, "Cannot make the interface wg0");
  await assertRejects(() => openIn(namespace, "a/b"), CulvertError, "its name must be");
  await assertRejects(
    () => inNamespace(namespace, () => openUserspaceDevice({ name: "wg1", mtu: 10 })),
    CulvertError,
    "Cannot set the MTU of wg1",
  );
  assertEquals(await whatIsOpen(namespace), before);
  using libc = openLibc();
  using net = inNamespace(namespace, () => new RtNetlink(libc));
  assertEquals(net.links().map(({ name }) => name), ["lo", first.interfaceName]);
});

testWith(needs, "closed several times at once with questions pending, every one is answered", async () => {
  await using lab = await NetLab.open();
  const device = await openIn(await lab.namespace("a"), "wg0");
  const asked = [device.status(), device.configure({ fwmark: 7 }), device.status(), device.status()];
  const closed = [device.close(), device.close()];
  const late = device.status();
  const outcomes = await Promise.allSettled([...asked, late]);
  await Promise.all(closed);
  assertEquals(await device.ended, undefined);
  for (const outcome of outcomes) {
    if (outcome.status === "rejected") assertEquals((outcome.reason as CulvertError).code, "closed");
  }
  assertEquals(outcomes.at(-1)!.status, "rejected");
});

testWith(needs, "an interface that is removed rejects what is asked meanwhile with the reason", async () => {
  await using lab = await NetLab.open();
  const namespace = await lab.namespace("a");
  await using device = await openIn(namespace, "wg0");
  using libc = openLibc();
  using net = inNamespace(namespace, () => new RtNetlink(libc));
  net.removeLink(net.link("wg0")!.index);
  for (;;) {
    const error = await device.status().then(() => undefined, (reason) => reason);
    if (error === undefined) continue;
    assert(["interface_removed", "closed"].includes((error as CulvertError).code), String(error));
    break;
  }
  assertInstanceOf(await device.ended, Error);
});

testWith(needs, "a renamed interface goes on, and so does one that is moved to another namespace", async () => {
  await using lab = await NetLab.open();
  const [home, away] = [await lab.namespace("home"), await lab.namespace("away")];
  await using device = await openIn(home, "wg0");
  await home.run(["ip", "link", "set", "wg0", "name", "renamed"]);
  await device.configure({ fwmark: 7 });
  await home.run(["ip", "link", "set", "renamed", "netns", away.name, "up"]);
  assertEquals((await device.status()).fwmark, 7);
  using libc = openLibc();
  using net = inNamespace(away, () => new RtNetlink(libc));
  assert(net.link("renamed"));
  await device.close();
  assertEquals(net.link("renamed"), undefined);
});

testWith(needs, "a port that is taken is refused by its number, and the device keeps the one it has", async () => {
  await using lab = await NetLab.open();
  const namespace = await lab.namespace("a");
  await using device = await openIn(namespace, "wg0");
  const { listenPort } = await device.status();
  using libc = openLibc();
  using taken = inNamespace(namespace, () => new UdpPort(libc));
  const change = { listenPort: taken.port, replacePeers: true, fwmark: 9 };
  const error = await assertRejects(() => device.configure(change), CulvertError);
  assertEquals(error.code, "EADDRINUSE");
  const status = await device.status();
  assertEquals([status.listenPort, status.fwmark], [listenPort, 0]);
  taken[Symbol.dispose]();
  await device.configure(change);
  assertEquals((await device.status()).listenPort, change.listenPort);
});

testWith(needs, "an engine with nothing to do sleeps, its interface up, down or up again", async () => {
  await using lab = await NetLab.open();
  const namespace = await lab.namespace("a");
  await using _device = await openIn(namespace, "wg0");
  for (const state of ["up", "down", "up"]) {
    await namespace.run(["ip", "link", "set", "wg0", state]);
    assert(await isAsleep(), `the engine sleeps with its interface ${state}`);
  }
});

/** Whether the Worker's thread comes to rest in poll, which one that spins never does; the others use epoll. */
async function isAsleep(): Promise<boolean> {
  for (let look = 0; look < 500; look++) {
    const waits = Array.from(Deno.readDirSync("/proc/self/task"), ({ name }) => readOrNothing(`${name}/wchan`));
    if (waits.some((where) => /poll/.test(where) && !/epoll|ep_poll/.test(where))) return true;
    await new Promise((resolve) => setTimeout(resolve));
  }
  return false;
}

/** A thread may have ended since it was listed. */
function readOrNothing(path: string): string {
  try {
    return Deno.readTextFileSync(`/proc/self/task/${path}`);
  } catch {
    return "";
  }
}
