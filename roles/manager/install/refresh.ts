/**
 * Bringing what is installed up to date, after another version of our program has come: the modules that services run with, and
 * the manager's own unit. Their own units the manager makes anew at their next starts; files that people write are not touched.
 */

import { hasManagerUnit, type InstallMachine, type InstallStep, managerUnit, modulesStep } from "./plan.ts";

export interface RefreshPlan {
  readonly steps: readonly InstallStep[];
  readonly notes: readonly string[];
}

export async function planRefresh(machine: InstallMachine): Promise<RefreshPlan> {
  const notes: string[] = [];
  const unit = await managerUnit(machine, notes);
  const steps: (InstallStep | undefined)[] = [
    hasManagerUnit(machine) || await machine.isThere(machine.modulesDir) ? modulesStep(machine) : undefined,
    unit,
  ];
  return { steps: steps.filter((step) => step !== undefined), notes };
}
