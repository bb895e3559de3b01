/**
 * Which configuration file is meant and what is in it:
 *
 *   wg0              → /etc/wireguard/wg0.conf, interface wg0
 *   path/to/wg0.conf → that file, interface wg0
 *
 * The file holds a private key: when others can read it we say so, and go on, as wg-quick does.
 */

import { basename, dirname, resolve } from "@std/path";
import { CulvertError } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import { parseQuickConfig, type QuickConfig, QuickConfigError } from "../../protocol/wireguard/quick_config.ts";
import { quoteText } from "../escape.ts";
import { shellWord } from "../private_file.ts";

const DIRECTORY = "/etc/wireguard";
const SUFFIX = ".conf";
const OTHERS = 0o007;
/** A wrong path must not fill the memory. */
const MAX_BYTES = 32 * 1024 * 1024;

export interface ConfName {
  readonly path: string;
  readonly interfaceName: string;
}

export interface ConfFile extends ConfName {
  readonly text: string;
  readonly config: QuickConfig;
}

/** What an interface may be called: what the kernel and wg-quick both allow. */
export function isInterfaceName(text: string): boolean {
  return /^[a-zA-Z0-9_=+.-]{1,15}$/.test(text) && text !== "." && text !== "..";
}

/** The file and the interface that a word on the command line means. */
export function confNameOf(word: string): ConfName {
  const isFile = word.endsWith(SUFFIX);
  const interfaceName = isFile ? basename(word).slice(0, -SUFFIX.length) : word;
  if (isInterfaceName(interfaceName)) {
    return { path: isFile ? resolve(word) : `${DIRECTORY}/${word}${SUFFIX}`, interfaceName };
  }
  throw new CulvertError(
    "bad_name",
    "Cannot tell the interface: the configuration must be an interface's name, or a file called after it, such as " +
      `wg0.conf, of at most 15 letters, digits and _=+.-; got ${quoteText(word, 80)}`,
  );
}

/** Reads a configuration file; its problems are told by line, and never with a key. */
export async function readConfFile(word: string, log: Log): Promise<ConfFile> {
  const name = confNameOf(word);
  const text = await readText(name.path);
  await warnIfOpen(name.path, log);
  return { ...name, text, config: configOf(text, name.path) };
}

function configOf(text: string, path: string): QuickConfig {
  try {
    return parseQuickConfig(text);
  } catch (error) {
    if (!(error instanceof QuickConfigError)) throw error;
    throw new CulvertError(error.code, `${error.message} (${path})`, { cause: error });
  }
}

async function readText(path: string): Promise<string> {
  try {
    const { isFile, size } = await Deno.stat(path);
    if (!isFile || size > MAX_BYTES) {
      throw new CulvertError("bad_config", `Cannot read ${path}: it must be a file of at most ${MAX_BYTES} bytes`);
    }
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new CulvertError("not_found", `Cannot read ${path}: there is no such file`, { cause: error });
    }
    if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
    throw new CulvertError("denied", `Cannot read ${path}: only its owner may, and this user is another`, {
      cause: error,
    });
  }
}

/** Others must get through the directory as well as read the file. */
async function warnIfOpen(path: string, log: Log): Promise<void> {
  const [file, directory] = await Promise.all([Deno.stat(path), Deno.stat(dirname(path))]);
  if (!((file.mode ?? 0) & (directory.mode ?? 0) & OTHERS)) return;
  log.warn("Others can read the configuration file, and the private key in it", {
    path,
    remedy: `chmod 600 ${shellWord(path)}`,
  });
}
