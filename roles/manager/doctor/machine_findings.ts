/**
 * What is made of this machine, whatever its services are: kernel, limits, time, room on disks, and what some of them need.
 */

import { bytesText } from "../../table.ts";
import { fail, type Finding, ok, warn } from "./finding.ts";

/** pidfd_open(2), by which ends of processes are seen at once. */
const LEAST_KERNEL = [5, 3] as const;

export function kernelFinding(os: string, release: string): Finding {
  if (os !== "linux") return fail("kernel", `this is ${os}`, "The manager runs on Linux alone");
  const [major = 0, minor = 0] = (/^(\d+)\.(\d+)/.exec(release) ?? []).slice(1).map(Number);
  const isNew = major > LEAST_KERNEL[0] || major === LEAST_KERNEL[0] && minor >= LEAST_KERNEL[1];
  if (isNew) return ok("kernel", `Linux ${release}`);
  return fail("kernel", `Linux ${release} has no pidfd_open`, `Use Linux ${LEAST_KERNEL.join(".")} or newer`);
}

export function timeFinding(isKept: boolean | undefined): Finding {
  if (isKept) return ok("time", "the clock is kept right");
  return warn(
    "time",
    isKept === undefined ? "the kernel does not say whether its clock is right" : "nobody keeps the clock right",
    "Peers refuse what was signed at another time: run chrony or systemd-timesyncd, on the host of a container",
  );
}

/** A proxy has two open files for each connection. */
const ENOUGH_OPEN_FILES = 65_536;

/** `limits`: the text of /proc/self/limits. */
export function openFilesFinding(limits: string): Finding {
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(limits)?.[1];
  const most = hard === "unlimited" ? Infinity : Number(hard);
  if (Number.isNaN(most)) {
    return warn("limits", "the kernel does not say how many files may be open", "Look at ulimit -n");
  }
  if (most >= ENOUGH_OPEN_FILES) return ok("limits", `a process may have ${hard} files open`);
  return warn(
    "limits",
    `a process may have no more than ${hard} files open, and so half as many connections`,
    "Raise LimitNOFILE of the unit, or nofile in /etc/security/limits.conf",
  );
}

export interface DiskSpace {
  /** What is kept there, and where. */
  readonly what: string;
  readonly path: string;
  readonly freeBytes: number;
  readonly freeFiles: number;
}

const MIB = 1024 * 1024;
const TOO_FEW_BYTES = 16 * MIB;
const FEW_BYTES = 256 * MIB;
const FEW_FILES = 100;

export function diskFinding({ what, path, freeBytes, freeFiles }: DiskSpace): Finding {
  const advice = "Make room there, or move it: --log-dir, --state-dir, --run-dir";
  const check = `disk of ${what}`;
  if (freeFiles < FEW_FILES) return fail(check, `${path} has room for ${freeFiles} more files`, advice);
  const says = `${path} has ${bytesText(freeBytes)} free`;
  if (freeBytes < TOO_FEW_BYTES) return fail(check, says, advice);
  return freeBytes < FEW_BYTES ? warn(check, says, advice) : ok(check, says);
}

/** `needing`: the services that cannot do without. */
export function tunFinding(hasTun: boolean, needing: readonly string[]): Finding {
  if (hasTun) return ok("TUN", "/dev/net/tun is there");
  const advice = "Load it with `modprobe tun`, or give it to the container (--device /dev/net/tun)";
  if (needing.length === 0) return ok("TUN", "/dev/net/tun is not there, and no service needs it");
  return fail("TUN", `/dev/net/tun is not there, and ${needing.join(", ")} may need it`, advice);
}

/** `problem`: why nftables cannot be had; undefined when they can. */
export function firewallFinding(problem: string | undefined, needing: readonly string[]): Finding {
  if (problem === undefined) return ok("nftables", "rules can be set");
  if (needing.length === 0) return ok("nftables", "rules cannot be set here, and no service needs any");
  return fail(
    "nftables",
    `${needing.join(", ")} may need rules that keep the kernel from answering: ${problem}`,
    "Run as root on a kernel with nf_tables, or set the rules by other means (manage_firewall = false)",
  );
}

export function rightsFinding(isRoot: boolean, needing: readonly string[]): Finding {
  if (isRoot) return ok("rights", "this is root, who may see and start everything");
  if (needing.length === 0) return ok("rights", "this is not root, and no service needs that");
  return fail(
    "rights",
    `this is not root, and ${needing.join(", ")} may need its rights`,
    "Use sudo for all of culvert manager",
  );
}
