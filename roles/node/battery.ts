/**
 * The battery of this machine, as Linux shows it (/sys/class/power_supply, Documentation/ABI/testing/sysfs-class-power).
 * Batteries of things that are attached, such as a mouse, have the scope "Device" and do not count.
 */

export interface Battery {
  readonly percent: number;
  /** It is plugged in: charging, full, or held where it is. */
  readonly isCharging: boolean;
}

const POWER_SUPPLIES = "/sys/class/power_supply";

/** Undefined where there is none, or none can be seen. Of several, all together. */
export async function readBattery(directory: string = POWER_SUPPLIES): Promise<Battery | undefined> {
  const percents: number[] = [];
  let isDischarging = false;
  for (const supply of await suppliesIn(directory)) {
    const read = (name: string) => readWord(`${directory}/${supply}/${name}`);
    if (await read("type") !== "Battery" || await read("scope") === "Device") continue;
    const percent = Number(await read("capacity") || NaN);
    if (!(percent >= 0)) continue;
    percents.push(Math.min(100, percent));
    isDischarging ||= await read("status") === "Discharging";
  }
  if (percents.length === 0) return undefined;
  const percent = Math.round(percents.reduce((sum, one) => sum + one, 0) / percents.length);
  return { percent, isCharging: !isDischarging };
}

async function suppliesIn(directory: string): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(directory), ({ name }) => name)).sort();
  } catch {
    return []; // another system, or a container that hides it
  }
}

/** Undefined where there is no such file, or it has nothing to say at present. */
async function readWord(path: string): Promise<string | undefined> {
  try {
    return (await Deno.readTextFile(path)).trim();
  } catch {
    return undefined;
  }
}
