/**
 * The kernel's WireGuard, in a kernel that has it: run inside the guest by `../vm_test.ts`, not by `deno test` of the
 * host, which is why its name does not end in `_test`.
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { openLibc } from "../../../native/libc.ts";
import { RtNetlink } from "../../../native/rtnetlink.ts";
import { testDeviceContract } from "../../../native/wireguard/fixtures/device_contract.ts";
import { kernelWireGuardSupport, LINK_ALIAS, openKernelDevice } from "../../../native/wireguard/kernel.ts";
import { NetLab } from "../../../testing/netns.ts";
import { assertPing, join, openKernelDeviceIn } from "./tunnel.ts";

testDeviceContract("the kernel's device", { needs: {}, open: (name) => openKernelDevice({ name }) });

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
  const [a, b] = [await lab.namespace("a"), await lab.namespace("b")];
  await lab.connect(a, "10.77.0.1/24", b, "10.77.0.2/24");
  await using first = await openKernelDeviceIn(a.name);
  await using second = await openKernelDeviceIn(b.name);
  await join(first, "first");
  await join(second, "second");
  await assertPing(a, "second");
  await assertPing(b, "first");
  for (const { device } of [first, second]) {
    const { sentBytes, receivedBytes } = (await device.status()).peers[0]!;
    // Twelve packets each way, the largest of 1420 bytes, before any overhead.
    assert(sentBytes > 9000 && receivedBytes > 9000, `${sentBytes} sent, ${receivedBytes} received`);
  }
});
