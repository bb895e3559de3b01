/**
 * Tests that need a kernel the host may not have, run inside a guest (`guest.ts`): by themselves with
 * `deno task test:vm`. Files of tests under `guest/` share a run of `deno test` there: a boot, and a start of Deno, take
 * seconds each in an emulated machine. The whole network has one to itself.
 */

import { assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { requires, withNeeds } from "../../testing/requirements.ts";
import { findGuestKernel, GUEST_TOOLS, runInGuest } from "./guest.ts";

const deviceTests = [
  "direct.ts",
  "kernel_device.ts",
  "userspace_device.ts",
  "wireguard_role.ts",
];

/** Two minutes are usual, five where a whole network starts; on a busy machine it is more. */
const TIME_LIMIT_MS = 900_000;

const kernel = findGuestKernel();
const needs = {
  tools: [...GUEST_TOOLS, "curl", "ip", "nft", "ping", "tcpdump"],
  files: [kernel?.image ?? "/boot/vmlinuz-*-amd64 with its modules"],
};

testInGuest("in a guest with Debian's kernel all is well", async () => {
  await runTests(deviceTests);
});

testInGuest("in a guest with Debian's kernel there is a VPN", async () => {
  await runTests(["vpn.ts"]);
});

testInGuest("a script that fails in the guest is told as failed", async () => {
  const { code } = await runInGuest(kernel!, "exit 3", { timeLimitMs: TIME_LIMIT_MS });
  assertEquals(code, 3);
});

/** The guest is ended in its own time. */
function testInGuest(name: string, fn: () => Promise<void>): void {
  Deno.test({ ...withNeeds(requires(needs), name, fn), timeout: 2 * TIME_LIMIT_MS });
}

async function runTests(files: readonly string[]): Promise<void> {
  const { code, output } = await runInGuest(kernel!, testScript(files), { timeLimitMs: TIME_LIMIT_MS });
  assertEquals(code, 0, output);
}

/** The guest has the host's files but none of its environment; and nothing there can be fetched. */
function testScript(files: readonly string[]): string {
  const { PATH, HOME, DENO_DIR } = Deno.env.toObject();
  const environment = { PATH: `${PATH}:/usr/sbin:/sbin`, HOME, DENO_DIR, CI: "true", NO_COLOR: "1" };
  const exports = Object.entries(environment).filter(([, value]) => value !== undefined)
    .map(([name, value]) => `export ${name}=${quote(value!)}`);
  return [
    ...exports,
    "modprobe --all wireguard veth tun bridge",
    `cd ${quote(fromFileUrl(new URL("../..", import.meta.url)))}`,
    `${quote(Deno.execPath())} test --allow-all --no-check --cached-only ${
      files.map((file) => `tests/vm/guest/${file}`).join(" ")
    }`,
  ].join("\n");
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
