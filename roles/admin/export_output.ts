/**
 * Where an exported configuration goes. It holds a private key, so it goes only where it is asked for: to a file that
 * nobody else may read, to the program behind a pipe, or, as a code, to whoever looks at the screen. Never to the log.
 */

import { CulvertError } from "../../protocol/errors.ts";
import { ConfigError } from "../config.ts";
import { createPrivateFile, readPrivateFile, replacePrivateFile } from "../private_file.ts";
import type { RoleContext } from "../role.ts";
import { qrLines, qrModules } from "../wireguard/qr.ts";
import { type AdminAddress, AdminConnection } from "./connection.ts";
import { ConfigExport, type Exported, type ExportWish } from "./export_config.ts";
import { utcText } from "./exported_config.ts";

const ACTION = "run admin export-config";

export interface ExportSettings extends AdminAddress, Omit<ExportWish, "peer"> {
  /** What the device is called. */
  readonly peer?: string | undefined;
}

export async function exportConfig(
  settings: ExportSettings,
  context: RoleContext,
  isTerminal: () => boolean = () => Deno.stdout.isTerminal(),
): Promise<void> {
  const { out, qr } = settings;
  if (out === undefined && !qr && !context.json && isTerminal()) {
    throw new ConfigError(ACTION, [
      "--qr or --out must be given on a terminal, which would keep the key on its screen; or pipe it somewhere",
    ]);
  }
  const name = settings.peer!;
  const connection = await AdminConnection.find(settings, context);
  const exporting = await ConfigExport.begin({ ...settings, peer: name }, connection, context);
  const file = out === undefined ? undefined : await OwnFile.find(out, exporting.privateKeyLine);
  const exported = await exporting.run();
  await file?.write(exported.text);
  const { print } = context;
  if (context.json) return print(JSON.stringify(jsonOf(exported, out)));
  if (file === undefined && !qr) return print(exported.text.trimEnd());
  if (qr) {
    qrLines(qrModules(exported.config)).forEach((line) => print(line));
    print("In the WireGuard app: +, then Scan from QR code. Whoever sees this code has the device's key.");
  }
  if (out !== undefined) print(`Wrote ${out}, which holds the device's key.`);
  print(`${name} is ${exported.peerId}, and works until ${utcText(exported.expiresAtMs)}.`);
  print(`To end it: culvert admin end ${exported.sessionId}`);
}

/** With a file the key is there, and not here as well. */
function jsonOf({ peerId, sessionId, expiresAtMs, text }: Exported, file: string | undefined): object {
  return { peerId, sessionId, expiresAtMs, ...(file === undefined ? { config: text } : { file }) };
}

/** A file that is new, or an earlier one of the same device. */
class OwnFile {
  readonly #path: string;
  readonly #isThere: boolean;

  private constructor(path: string, isThere: boolean) {
    this.#path = path;
    this.#isThere = isThere;
  }

  /** Throws `exists` for what is something else. */
  static async find(path: string, privateKeyLine: string): Promise<OwnFile> {
    const present = await readPrivateFile(path);
    if (present && !new TextDecoder().decode(present).includes(privateKeyLine)) {
      throw new CulvertError("exists", `Cannot write ${path}: it exists already, and is not a file of this device`);
    }
    return new OwnFile(path, present !== undefined);
  }

  async write(text: string): Promise<void> {
    await (this.#isThere ? replacePrivateFile : createPrivateFile)(this.#path, new TextEncoder().encode(text));
  }
}
