/**
 * What an interface of the kernel's WireGuard leaves on the machine, noted before there is one: the link itself, which
 * outlives its process, and redirects. Those it switches off for the whole machine whenever it comes up, and nothing
 * switches them on again.
 */

import type { Journal } from "./journal.ts";
import { changeSetting } from "./kernel_setting.ts";

type Notes = Pick<Journal, "record" | "othersSetting" | "undos">;

const REDIRECTS = "/proc/sys/net/ipv4/conf/all/send_redirects";

/** To be called before each one is made; notes things once. */
export async function noteKernelLink(name: string, journal: Notes): Promise<void> {
  // Ours come before the kernel's, so that what was there before is still known. In a container settings may be read-only.
  if (await isWritable(REDIRECTS)) await changeSetting(REDIRECTS, "0", journal);
  if (journal.undos.some((undo) => undo.kind === "link" && undo.name === name)) return;
  await journal.record({ kind: "link", name });
}

async function isWritable(path: string): Promise<boolean> {
  try {
    (await Deno.open(path, { write: true })).close();
    return true;
  } catch {
    return false;
  }
}
