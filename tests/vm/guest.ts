/**
 * A guest with a stock Debian kernel, for what the host's kernel does not have: boots it in QEMU, runs one shell script
 * as root among the host's own files, and gives back what was printed and how it ended.
 *
 *   const { code, output } = await runInGuest(kernel, "modprobe wireguard && wg show", { timeLimitMs: 60_000 });
 *
 * No disk image and no network: the host's root folder is shared read-only (9p) under an overlay that the guest may
 * write to, and the guest's kernel finds its modules in the host's /lib/modules. Emulated (TCG), since nested
 * virtualisation is seldom to be had; five seconds to the shell on a 2-core machine. Needs no root on the host.
 */

import { fromFileUrl } from "@std/path";
import { clockOf, delay } from "../../protocol/clock.ts";
import { findTool } from "../../testing/requirements.ts";

export interface GuestKernel {
  readonly version: string;
  readonly image: string;
}

export interface GuestResult {
  readonly code: number;
  readonly output: string;
}

/** The programs that this takes. */
export const GUEST_TOOLS = ["qemu-system-x86_64", "busybox", "cpio", "modprobe", "xz", "bash"];

/** What must be in the guest before it sees the host's files; the rest it loads from there. */
const FIRST_MODULES = ["virtio_pci", "9pnet_virtio", "9p", "overlay"];
const IMAGE = /^vmlinuz-(.*-amd64)$/;
const ENDED = /^guest ended with (\d+)\r?$/m;
const MEMORY_MIB = 2048;

/** The newest kernel of Debian's that is installed with its WireGuard module. */
export function findGuestKernel(): GuestKernel | undefined {
  const versions = listFolder("/boot").map((name) => IMAGE.exec(name)?.[1]).filter((version) => version !== undefined)
    .filter((version) => listFolder(`/lib/modules/${version}/kernel/drivers/net/wireguard`).length > 0);
  const version = versions.sort(new Intl.Collator("en", { numeric: true }).compare).at(-1);
  return version === undefined ? undefined : { version, image: `/boot/vmlinuz-${version}` };
}

function listFolder(path: string): string[] {
  try {
    return [...Deno.readDirSync(path)].map((entry) => entry.name);
  } catch {
    return [];
  }
}

/** Boots, runs, powers off. Rejects when the guest does not get to the end of the script in time. */
export async function runInGuest(
  kernel: GuestKernel,
  script: string,
  { timeLimitMs }: { timeLimitMs: number },
): Promise<GuestResult> {
  const folder = await Deno.makeTempDir({ prefix: "culvert-guest-" });
  try {
    await makeInitramfs(folder, kernel, script);
    const output = await boot(kernel, `${folder}/initramfs`, timeLimitMs);
    const code = ENDED.exec(output)?.[1];
    if (code === undefined) throw new Error(`Cannot run the guest: it stopped before the script's end:\n${output}`);
    return { code: Number(code), output };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Busybox, `init.sh`, the script, and the modules in the order they are to be loaded. */
async function makeInitramfs(folder: string, { version }: GuestKernel, script: string): Promise<void> {
  const root = `${folder}/root`;
  await Deno.mkdir(`${root}/bin`, { recursive: true });
  await Deno.mkdir(`${root}/modules`);
  await Deno.copyFile(findTool("busybox")!, `${root}/bin/busybox`);
  await Deno.copyFile(fromFileUrl(new URL("./init.sh", import.meta.url)), `${root}/init`);
  await Deno.chmod(`${root}/init`, 0o755);
  await Deno.writeTextFile(`${root}/command`, script);
  for (const [index, path] of (await modulesInOrder(version)).entries()) {
    const target = `${root}/modules/${String(index).padStart(3, "0")}.ko`;
    // Newer releases compress their modules.
    if (path.endsWith(".xz")) await Deno.writeFile(target, await run("xz", ["-dc", path]));
    else await Deno.copyFile(path, target);
  }
  await run("bash", ["-c", 'cd "$0" && find . | cpio --quiet -o -H newc >"$1"', root, `${folder}/initramfs`]);
}

async function modulesInOrder(version: string): Promise<string[]> {
  const paths = new Set<string>();
  for (const name of FIRST_MODULES) {
    const text = new TextDecoder().decode(await run("modprobe", ["-S", version, "--show-depends", name]));
    for (const [, path] of text.matchAll(/^insmod (\S+)/gm)) paths.add(path!);
  }
  return [...paths];
}

async function run(tool: string, args: readonly string[]): Promise<Uint8Array> {
  const { success, stdout, stderr } = await new Deno.Command(findTool(tool)!, { args: [...args] }).output();
  if (!success) throw new Error(`Cannot make the guest: ${tool} failed: ${new TextDecoder().decode(stderr)}`);
  return stdout;
}

/** What the guest prints on its serial console until it is off. */
async function boot({ image }: GuestKernel, initramfs: string, timeLimitMs: number): Promise<string> {
  const options: Record<string, string> = {
    accel: "tcg",
    cpu: "max,-erms,-fsrm",
    smp: "2",
    m: String(MEMORY_MIB),
    display: "none",
    monitor: "none",
    serial: "stdio",
    nic: "none",
    kernel: image,
    initrd: initramfs,
    append: "console=ttyS0 quiet panic=-1",
    virtfs: "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap",
  };
  const args = ["-no-reboot", ...Object.entries(options).flatMap(([name, value]) => [`-${name}`, value])];
  const guest = new Deno.Command(findTool("qemu-system-x86_64")!, {
    args,
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const ended = new AbortController();
  const limit = delay(clockOf(globalThis), timeLimitMs, ended.signal).then(() => guest.kill("SIGKILL"), () => {});
  try {
    return await new Response(guest.stdout).text();
  } finally {
    ended.abort();
    await limit;
    await guest.status;
  }
}
