/**
 * Our own WireGuard against the kernel's, in the guest: run by `../vm_test.ts`. Here the userspace device stands on
 * Debian's kernel, whose TUN and UDP offloads differ from newer ones', and the kernel's device is its peer.
 */

import { assertEquals } from "@std/assert";
import { openUserspaceDevice } from "../../../native/wireguard/userspace.ts";
import { NetLab } from "../../../testing/netns.ts";
import { assertPing, innerAddress, join, openKernelDeviceIn, type Place, placed } from "./tunnel.ts";

const BULK_BYTES = 2_000_000;

/** The namespace of the test itself. */
const here: Place = {
  async run([program, ...args]) {
    const { success, stdout, stderr } = await new Deno.Command(program!, { args }).output();
    if (!success) {
      throw new Error(`Cannot run ${program}: ${new TextDecoder().decode(stdout)}${new TextDecoder().decode(stderr)}`);
    }
  },
};

Deno.test("our own device and the kernel's pass packets and bulk both ways", async () => {
  await using lab = await NetLab.open();
  const there = await lab.namespace("kernel");
  await here.run(["ip", "link", "add", "cvtveth", "type", "veth", "peer", "name", "eth0", "netns", there.name]);
  await here.run(["ip", "address", "add", "10.77.0.1/24", "dev", "cvtveth"]);
  await here.run(["ip", "link", "set", "cvtveth", "up"]);
  await there.run(["ip", "address", "add", "10.77.0.2/24", "dev", "eth0"]);
  await there.run(["ip", "link", "set", "eth0", "up"]);

  await using ours = placed(await openUserspaceDevice({ name: "cvtest0", mtu: 1420 }));
  await using kernels = await openKernelDeviceIn(there.name);
  await join(ours, "first");
  await join(kernels, "second");
  await assertPing(here, "second");
  await assertPing(there, "first");

  const bulk = crypto.getRandomValues(new Uint8Array(65_536));
  await Deno.writeFile("/tmp/bulk", new Blob(Array.from({ length: BULK_BYTES / 50_000 }, () => bulk)).stream());
  const sum = await sha256Of("/tmp/bulk");
  const hostname = innerAddress("first");
  using listener = Deno.listen({ hostname, port: 0 });
  const door = `/dev/tcp/${hostname}/${(listener.addr as Deno.NetAddr).port}`;

  const sent = there.run(["bash", "-c", `cat /tmp/bulk >${door}`]);
  await Deno.writeFile("/tmp/received", (await listener.accept()).readable);
  await sent;
  assertEquals(await sha256Of("/tmp/received"), sum, "from the kernel's device to ours");

  const received = there.run(["bash", "-c", `cat <${door} >/tmp/received`]);
  await (await Deno.open("/tmp/bulk")).readable.pipeTo((await listener.accept()).writable);
  await received;
  assertEquals(await sha256Of("/tmp/received"), sum, "from our device to the kernel's");
});

async function sha256Of(path: string): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", await Deno.readFile(path))).toHex();
}
