/**
 * The kernel's WireGuard, in a kernel that has it: run inside the guest by `../vm_test.ts`, not by `deno test` of the
 * host, which is why its name does not end in `_test`.
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { withinNamespace } from "../../../native/fixtures/namespace.ts";
import { openLibc } from "../../../native/libc.ts";
import { RtNetlink } from "../../../native/rtnetlink.ts";
import { testDeviceContract } from "../../../native/wireguard/fixtures/device_contract.ts";
import { kernelWireGuardSupport, LINK_ALIAS, openKernelDevice } from "../../../native/wireguard/kernel.ts";
import { parseCidr, parseIp } from "../../../protocol/ip.ts";
import { NetLab, type NetNamespace } from "../../../testing/netns.ts";

testDeviceContract("the kernel's device", { needs: { root: true }, open: (name) => openKernelDevice({ name }) });

Deno.test("the kernel says that it has WireGuard", () => assertEquals(kernelWireGuardSupport(), { available: true }));

Deno.test("a link of ours is told by its alias, and taken over only when asked", async () => {
  using libc = openLibc();
  using net = new RtNetlink(libc);
  await using device = await openKernelDevice({ name: "cvtest0" });
  const { alias, kind, index } = net.link("cvtest0")!;
  assertEquals([alias, kind], [LINK_ALIAS, "wireguard"]);
  await assertRejects(() => openKernelDevice({ name: "cvtest0" }), Error, "EEXIST");
  await using _next = await openKernelDevice({ name: "cvtest0", replaceStale: true });
  assert(net.link("cvtest0")!.index !== index);
  assert(await device.ended instanceof Error);
});

Deno.test("a link of somebody else is never taken over", async () => {
  using libc = openLibc();
  using net = new RtNetlink(libc);
  const { index } = net.createLink({ name: "cvtest0", kind: "wireguard" });
  await assertRejects(() => openKernelDevice({ name: "cvtest0", replaceStale: true }), Error, "EEXIST");
  net.removeLink(index);
});

Deno.test("two kernel devices pass packets both ways, IPv4 and IPv6", async () => {
  await using lab = await NetLab.open();
  const a = await lab.namespace("a");
  const b = await lab.namespace("b");
  await lab.connect(a, "10.77.0.1/24", b, "10.77.0.2/24");
  await using first = await openIn(a, ["10.78.0.1/24", "fd78::1/64"]);
  await using second = await openIn(b, ["10.78.0.2/24", "fd78::2/64"]);
  const privateKeys = [new Uint8Array(32).fill(0x48), new Uint8Array(32).fill(0x50)] as const;
  await first.configure({ privateKey: privateKeys[0], listenPort: 51_820 });
  await second.configure({ privateKey: privateKeys[1], listenPort: 51_820 });
  const networks = [{ cidr: parseCidr("10.78.0.0/24")! }, { cidr: parseCidr("fd78::/64")! }];
  const endpoint = { address: parseIp("10.77.0.2")!, port: 51_820 };
  const [ours, theirs] = [(await first.status()).publicKey!, (await second.status()).publicKey!];
  await first.configure({ peers: [{ publicKey: theirs, endpoint, allowedIps: networks }] });
  await second.configure({ peers: [{ publicKey: ours, allowedIps: networks }] });

  await a.run(["ping", "-c", "3", "-i", "0.2", "-W", "5", "10.78.0.2"]);
  await b.run(["ping", "-6", "-c", "3", "-i", "0.2", "-W", "5", "fd78::1"]);
  for (const device of [first, second]) {
    const { sentBytes, receivedBytes } = (await device.status()).peers[0]!;
    // Three pings there and back by each family, of 84 and 104 bytes: 600 bytes before any overhead.
    assert(sentBytes > 600 && receivedBytes > 600, `${sentBytes} sent, ${receivedBytes} received`);
  }
});

/** A device in another namespace, up and with addresses. */
async function openIn(namespace: NetNamespace, addresses: readonly string[]) {
  const device = await withinNamespace(namespace.name, () => openKernelDevice({ name: "wg0", mtu: 1420 }));
  using libc = openLibc();
  using net = withinNamespace(namespace.name, () => new RtNetlink(libc));
  const { index: linkIndex } = net.link("wg0")!;
  for (const text of addresses) {
    const [address, bits] = text.split("/");
    net.addAddress({ linkIndex, address: parseIp(address!)!, bits: Number(bits) });
  }
  net.changeLink(linkIndex, { up: true });
  return device;
}
