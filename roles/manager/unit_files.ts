/**
 * The units of services as files, and the environments that they name.
 *
 *   /etc/systemd/system/culvert-NAME.service   0644, written anew when its service has changed
 *   /run/culvert/NAME.env                      0600, written at each start, for systemd alone
 *
 * A unit that somebody has edited is never written or removed: it is kept, and told of.
 */

import { join } from "@std/path";
import { removeIfThere } from "../../native/remove_if_there.ts";
import { environmentText } from "../../protocol/manager/environment_text.ts";
import type { Service } from "../../protocol/manager/service.ts";
import { isEdited, unitNameOf, unitText } from "../../protocol/manager/unit_text.ts";

export const UNIT_FOLDER = "/etc/systemd/system";

export interface UnitPlaces {
  /** Default `UNIT_FOLDER`. */
  readonly units?: string;
  /** The manager's run directory. */
  readonly run: string;
}

/** `absent`: there is no file. `ours`: as we have written it, now or before. `edited`: somebody has changed it. */
export type UnitOrigin = "absent" | "ours" | "edited";

export class UnitFiles {
  readonly #units: string;
  readonly #run: string;

  constructor({ units = UNIT_FOLDER, run }: UnitPlaces) {
    this.#units = units;
    this.#run = run;
  }

  /** The unit that the service should have, for one who only shows it. */
  unitOf(service: Service): { readonly path: string; readonly text: string } {
    return {
      path: this.pathOf(service.name),
      text: unitText(service, { environmentFile: this.#environmentOf(service) }),
    };
  }

  pathOf(serviceName: string): string {
    return join(this.#units, unitNameOf(serviceName));
  }

  async originOf(serviceName: string): Promise<UnitOrigin> {
    const text = await readIfThere(this.pathOf(serviceName));
    return text === undefined ? "absent" : isEdited(text) ? "edited" : "ours";
  }

  /** Brings both files up to date; whether systemd has to read the unit again. */
  async write(service: Service): Promise<boolean> {
    await this.#writeEnvironment(service);
    const { path, text } = this.unitOf(service);
    const found = await readIfThere(path);
    if (found === text || found !== undefined && isEdited(found)) return false;
    await replaceFile(path, text, 0o644);
    return true;
  }

  /** Takes away what is ours; whether systemd has to look again. */
  async remove(service: Service): Promise<boolean> {
    await removeIfThere(this.#environmentOf(service));
    if (await this.originOf(service.name) !== "ours") return false;
    await removeIfThere(this.pathOf(service.name));
    return true;
  }

  async #writeEnvironment(service: Service): Promise<void> {
    const path = this.#environmentOf(service);
    if (Object.keys(service.environment).length === 0) return await removeIfThere(path);
    await Deno.mkdir(this.#run, { recursive: true });
    await replaceFile(path, environmentText(service.environment), 0o600);
  }

  #environmentOf({ name }: Service): string {
    return join(this.#run, `${name}.env`);
  }
}

/** Whole or not at all. */
async function replaceFile(path: string, text: string, mode: number): Promise<void> {
  const half = `${path}.new`;
  await removeIfThere(half); // a mode is only given to a file that is made
  await Deno.writeTextFile(half, text, { mode, createNew: true });
  await Deno.chmod(half, mode);
  await Deno.rename(half, path);
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
