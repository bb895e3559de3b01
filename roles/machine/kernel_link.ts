/**
 * What an interface of the kernel's WireGuard leaves on the machine, noted before there is one: the link itself, which
 * outlives its process, and redirects. Those it switches off for the whole machine whenever it comes up, and nothing
 * switches them on again.
 */

import type { Journal } from "./journal.ts";
import { changeSetting } from "./kernel_setting.ts";

type Notes = Pick<Journal, "record" | "othersSetting">;

const REDIRECTS = "/proc/sys/net/ipv4/conf/all/send_redirects";

/** To be called before it is made. */
export async function noteKernelLink(name: string, journal: Notes): Promise<void> {
  await noteRedirects(journal);
  await journal.record({ kind: "link", name });
}

/** Switches them off before the kernel does, while it is known how they were. In a container settings may be read-only. */
export async function noteRedirects(journal: Notes): Promise<void> {
  if (await isWritable(REDIRECTS)) await changeSetting(REDIRECTS, "0", journal);
}

async function isWritable(path: string): Promise<boolean> {
  try {
    (await Deno.open(path, { write: true })).close();
    return true;
  } catch {
    return false;
  }
}
