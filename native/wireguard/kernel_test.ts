import { assert, assertEquals, assertRejects } from "@std/assert";
import { testWith } from "../../testing/requirements.ts";
import { kernelWireGuardSupport, openKernelDevice } from "./kernel.ts";

// With WireGuard in the kernel it is tested in the guest of tests/vm/.
testWith({ root: true }, "whether this kernel has WireGuard is told, and why not in words", async () => {
  const { available, reason } = kernelWireGuardSupport();
  assertEquals(available, reason === undefined);
  if (available) return;
  const words = `Cannot create the WireGuard device cvt0: ${reason}`;
  assert((await assertRejects(() => openKernelDevice({ name: "cvt0" }), Error)).message === words);
});
