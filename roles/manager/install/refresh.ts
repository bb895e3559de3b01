/**
 * Bringing what is installed up to date, after another version of our program has come: the modules that services run with, and
 * the manager's own unit. Their own units the manager makes anew at their next starts; files that people write are not touched.
 */

import { hasManagerUnit, type InstallMachine, type InstallStep, managerUnit } from "./plan.ts";

export interface RefreshPlan {
  readonly steps: readonly InstallStep[];
  readonly notes: readonly string[];
}

export async function planRefresh(machine: InstallMachine): Promise<RefreshPlan> {
  const notes: string[] = [];
  const { modulesDir: path, ownCommand: command } = machine;
  const unit = await managerUnit(machine, notes);
  const steps: (InstallStep | undefined)[] = [
    hasManagerUnit(machine) || await machine.isThere(path) ? { do: "modules", path, command } : undefined,
    unit,
  ];
  return { steps: steps.filter((step) => step !== undefined), notes };
}
