/**
 * Executables that are one file each: the launcher, then one archive for all of them.
 *
 *   launcher.sh, filled in │ tar, gzip: culvert (the Deno that runs this), code/ (see code_bundle.ts)
 *
 * On one machine the same sources and the same Deno give the same bytes; elsewhere the files of code have other names.
 */

import { join } from "@std/path";
import { encodeHex } from "@std/encoding/hex";
import { CulvertError } from "../protocol/errors.ts";
import { closedFlags } from "./closed_flags.ts";
import { bundleCode, MAIN } from "./code_bundle.ts";
import type { Executable } from "./executables.ts";
import launcher from "./launcher.sh" with { type: "text" };
import { writing } from "./output_folder.ts";
import { permissionFlags } from "./role_permissions.ts";

export interface SelfExtractingOptions {
  /** Where the files are put. */
  readonly out: string;
  /** As gzip has them: 1 is done soonest, 9 is smallest. */
  readonly level: number;
}

/** Makes the files from a checkout, with the Deno that this runs on, and gives their paths. */
export async function makeSelfExtracting(
  executables: readonly Executable[],
  { root, ...options }: SelfExtractingOptions & { readonly root: string },
): Promise<string[]> {
  if (Deno.build.os !== "linux") {
    throw new CulvertError("unsupported", `Cannot bundle: the system must be Linux, got ${Deno.build.os}`);
  }
  const content = await Deno.makeTempDir({ prefix: "culvert-bundle-" });
  try {
    await Deno.mkdir(join(content, "code"));
    await bundleCode(root, join(content, "code"));
    await Deno.copyFile(Deno.execPath(), join(content, "culvert"));
    await Deno.chmod(join(content, "culvert"), 0o755);
    return await writeExecutables(executables, { content, ...options });
  } finally {
    await Deno.remove(content, { recursive: true });
  }
}

/** The same from a folder with `culvert` and `code/`. */
export async function writeExecutables(
  executables: readonly Executable[],
  { content, out, level }: SelfExtractingOptions & { readonly content: string },
): Promise<string[]> {
  const payload = await pack(content, level);
  const payloadSha256 = encodeHex(new Uint8Array(await crypto.subtle.digest("SHA-256", payload)));
  await Deno.mkdir(out, { recursive: true });
  return await Promise.all(executables.map(async (executable) => {
    const path = join(out, executable.name);
    const script = launcherOf(executable, { payloadSha256, payloadBytes: payload.length });
    await writing(path, () => replaceFile(path, [new TextEncoder().encode(script), payload]));
    return path;
  }));
}

async function pack(content: string, level: number): Promise<Uint8Array<ArrayBuffer>> {
  const archive = await Deno.makeTempFile({ prefix: "culvert-bundle-", suffix: ".tar.gz" });
  try {
    const { success, stderr } = await new Deno.Command("tar", {
      args: [
        ...["--create", "--file", archive, `--use-compress-program=gzip -${level} --no-name`, "--directory", content],
        // Whoever makes it and when leaves no trace.
        ...["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--mode=u=rwX,go=rX"],
        ...["culvert", "code"],
      ],
    }).output();
    if (success) return await Deno.readFile(archive);
    throw new CulvertError("tar_failed", `Cannot run GNU tar: ${new TextDecoder().decode(stderr).trim()}`);
  } finally {
    await Deno.remove(archive);
  }
}

interface Payload {
  readonly payloadSha256: string;
  readonly payloadBytes: number;
}

/** What stands before the archive. None of what is filled in has anything in it that a shell reads otherwise. */
export function launcherOf({ words, permissions }: Executable, { payloadSha256, payloadBytes }: Payload): string {
  const values: Readonly<Record<string, string>> = {
    PAYLOAD_SHA256: payloadSha256,
    PAYLOAD_BYTES: String(payloadBytes),
    FLAGS: [...closedFlags(), ...permissionFlags(permissions)].join(" "),
    MAIN,
    WORDS: words.join(" "),
  };
  return launcher.replace(/@([A-Z0-9_]+)@/g, (_, name: string) => values[name]!).replace(/ {2}"\$@"$/m, ' "$@"');
}

/** Programs of the old file may be running: it is not written to, it makes way. */
async function replaceFile(path: string, parts: readonly Uint8Array[]): Promise<void> {
  const fresh = `${path}.${crypto.randomUUID()}`;
  {
    using file = await Deno.open(fresh, { write: true, createNew: true, mode: 0o755 });
    for (const part of parts) {
      for (let at = 0; at < part.length;) at += await file.write(part.subarray(at));
    }
  }
  await Deno.chmod(fresh, 0o755); // whatever the umask
  await Deno.rename(fresh, path);
}
