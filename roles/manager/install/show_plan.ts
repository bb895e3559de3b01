/**
 * A plan for people: what will be done, in a few lines or with every file; secrets are left out either way.
 */

import { stepWords } from "./apply.ts";
import type { InstallPlan } from "./plan.ts";

export function planLines({ name, kind, steps, unit, notes }: InstallPlan): string[] {
  return [
    `To install ${name} (${kind}):`,
    ...steps.map((step) => `  ${stepWords(step)}`),
    ...unit ? [`  Then the manager makes the unit ${unit.path}`] : [],
    ...notes.map((note) => `Note: ${note}`),
  ];
}

/** Every file that there will be, whole. */
export function fileLines({ steps, unit }: InstallPlan): string[] {
  const files = steps.filter((step) => step.do === "file");
  return [
    ...files.flatMap(({ path, mode, readableBy, shown }) => {
      const who = readableBy === undefined ? "" : `, readable by ${readableBy}`;
      return ["", `=== ${path} (mode 0${mode.toString(8)}${who})`, ...shown.trimEnd().split("\n")];
    }),
    ...unit ? ["", `=== ${unit.path} (made by the manager)`, ...unit.text.trimEnd().split("\n")] : [],
  ];
}

/** The same for programs. */
export function planJson(plan: InstallPlan): Record<string, unknown> {
  const { name, kind, stateDir, user, unit, notes } = plan;
  const steps = plan.steps.map((step) => step.do === "file" ? { ...step, text: undefined, shown: step.shown } : step);
  return { name, kind, stateDir, user, steps, unit, notes };
}
