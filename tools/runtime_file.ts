/**
 * What an executable file is for, by its first bytes: `deno compile` takes any file that DENORT_BIN names for the runtime of any
 * platform, and would put the code behind it.
 *
 *   ELF      7f "ELF"      … at 18, 2 bytes: the machine
 *   Mach-O   cf fa ed fe,    at 4, 4 bytes: the processor
 *   PE       "MZ"          … at 60, 4 bytes: where "PE" 0 0 stands, with 2 bytes of machine behind it
 *
 * All of them little-endian, and of 64 bits. It does not say whether the file is a runtime of Deno.
 */

import { CulvertError } from "../protocol/errors.ts";
import type { Target } from "./targets.ts";

/** As many of the first bytes as are looked at. */
const HEAD_BYTES = 4096;

/** By the format's name and the number that it has for the processor. */
const platforms: Readonly<Record<string, Target>> = {
  "ELF 3e": "x86_64-unknown-linux-gnu",
  "ELF b7": "aarch64-unknown-linux-gnu",
  "Mach-O 1000007": "x86_64-apple-darwin",
  "Mach-O 100000c": "aarch64-apple-darwin",
  "PE 8664": "x86_64-pc-windows-msvc",
  "PE aa64": "aarch64-pc-windows-msvc",
};

/** Rejects with `bad_runtime` unless the file is of that platform. */
export async function requireRuntimeFor(target: Target, path: string): Promise<void> {
  const found = platformOf(await readHead(path));
  if (found === target) return;
  const got = found === undefined ? `${path}, which is none` : `${path}, which is for ${found}`;
  throw new CulvertError("bad_runtime", `Cannot compile: DENORT_BIN must be an executable for ${target}, got ${got}`);
}

/** Undefined for what is no executable of a platform that there is. */
export function platformOf(head: Uint8Array): Target | undefined {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const format = formatOf(view);
  return format && platforms[`${format.name} ${format.processor.toString(16)}`];
}

function formatOf(view: DataView): { readonly name: string; readonly processor: number } | undefined {
  if (view.byteLength < 64) return undefined;
  const isElf64 = view.getUint32(0) === 0x7f454c46 && view.getUint8(4) === 2 && view.getUint8(5) === 1;
  if (isElf64) return { name: "ELF", processor: view.getUint16(18, true) };
  if (view.getUint32(0) === 0xcffaedfe) return { name: "Mach-O", processor: view.getUint32(4, true) };
  if (view.getUint16(0) !== 0x4d5a) return undefined;
  const at = view.getUint32(60, true);
  if (at + 6 > view.byteLength || view.getUint32(at) !== 0x50450000) return undefined;
  return { name: "PE", processor: view.getUint16(at + 4, true) };
}

async function readHead(path: string): Promise<Uint8Array> {
  try {
    using file = await Deno.open(path);
    const head = new Uint8Array(HEAD_BYTES);
    return head.subarray(0, await file.read(head) ?? 0);
  } catch (error) {
    throw new CulvertError("bad_runtime", `Cannot compile: DENORT_BIN must be a file that can be read, got ${path}`, {
      cause: error,
    });
  }
}
