/**
 * A plan: which machines a deployment has and which roles run on each, as a TOML (or JSON) file.
 *
 *   summary = "What it is."
 *
 *   [machines]
 *   client.proxy.path = "fragments+http://{base}/?up=2&down=2"
 *   central = { base = {}, central = {} }
 *   upstream-1.upstream = { region = "north" }
 *
 * A machine holds a section for each of its roles, with settings as in a config file. Addresses need not be given:
 * `{base}` stands for where the directory is, and `deployment.ts` fills in the rest.
 */

import { basename } from "@std/path";
import type { z } from "zod";
import { ConfigError, inputOfTable } from "../config.ts";
import { isTable, parseFileText, type Table } from "../config/file.ts";
import { didYouMean, kebabCase } from "../config/names.ts";
import { mustBe, showValue } from "../config/problems.ts";
import { quoteText } from "../escape.ts";
import { registry } from "../registry.ts";
import type { Role } from "../role.ts";

/** The roles a plan may hold, in the order they start: each needs those before it. */
export const PLAN_ROLES = ["base", "relay", "gateway", "downstream", "central", "upstream", "proxy"] as const;
export type PlanRole = typeof PLAN_ROLES[number];

export interface PlannedRole {
  readonly machine: string;
  readonly role: PlanRole;
  /** As they stand in the plan. */
  readonly settings: Table;
}

export interface Plan {
  /** Of the file, for messages. */
  readonly file: string;
  readonly summary: string;
  readonly machines: readonly string[];
  /** In the order they start. */
  readonly roles: readonly PlannedRole[];
}

/** Each role is a thread: more are for more than one machine. */
const MAX_MACHINES = 64;
const MACHINE_NAME = /^[a-z][a-z0-9-]{0,31}$/;
const ACTION = "start up";

/** Reads a plan; rejects with a ConfigError that names every problem. */
export async function readPlan(path: string): Promise<Plan> {
  const file = basename(path);
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    throw new ConfigError(ACTION, [`--plan must be a file that can be read: ${String(error)}`]);
  }
  const table = await parseFileText(text, file);
  if (typeof table === "string") throw new ConfigError(ACTION, [table]);
  const reader = new PlanReader(file);
  const plan = reader.read(table);
  await reader.checkSettings(plan.roles);
  if (reader.problems.length > 0) throw new ConfigError(ACTION, reader.problems);
  return plan;
}

class PlanReader {
  readonly problems: string[] = [];
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  read(table: Table): Plan {
    const { summary = "", machines = {}, ...others } = table;
    for (const key of Object.keys(others)) {
      this.#problem(key, `is not part of a plan${didYouMean(key, ["summary", "machines"])}`);
    }
    if (typeof summary !== "string") this.#problem("summary", `must be text, got ${showValue(summary)}`);
    const held = isTable(machines) ? Object.entries(machines) : [];
    if (held.length < 1 || held.length > MAX_MACHINES) {
      const got = isTable(machines) ? held.length : showValue(machines);
      this.#problem("machines", `must be a section with 1 to ${MAX_MACHINES} machines, got ${got}`);
    }
    const roles = held.flatMap(([name, roles]) => this.#machine(name, roles));
    for (const role of ["base", "proxy"]) {
      if (!roles.some((planned) => planned.role === role)) {
        this.#problem("machines", `must hold the role ${role} somewhere, got none`);
      }
    }
    roles.sort((a, b) => PLAN_ROLES.indexOf(a.role) - PLAN_ROLES.indexOf(b.role));
    return { file: this.#file, summary: String(summary), machines: held.map(([name]) => name), roles };
  }

  /** The settings must be of use whatever the addresses will be. */
  async checkSettings(roles: readonly PlannedRole[]): Promise<void> {
    for (const planned of roles) {
      const { config } = await loadRole(planned.role);
      const settings = filled(planned.settings, config.shape, { bases: ["127.0.0.1:1"], defaults: {} });
      this.problems.push(...inputOfTable(config, settings, placeOf(planned, this.#file)).problems);
      for (const [, name] of JSON.stringify(planned.settings).matchAll(/\{(\w+)\}/g)) {
        if (name !== "base") {
          this.#problem(sectionOf(planned), `has {${name}}, which stands for nothing; there is {base}`);
        }
      }
    }
  }

  #machine(name: string, held: unknown): PlannedRole[] {
    const where = `machines.${name}`;
    if (!MACHINE_NAME.test(name)) {
      this.#problem(where, mustBe("named by up to 32 lower-case letters, digits and dashes, a letter first"));
      return [];
    }
    if (!isTable(held) || Object.keys(held).length === 0) {
      this.#problem(
        where,
        `must be a section with a role, such as base = {}, got ${isTable(held) ? "none" : showValue(held)}`,
      );
      return [];
    }
    return Object.entries(held).flatMap(([key, settings]): PlannedRole[] => {
      const role = PLAN_ROLES.find((known) => known === key);
      if (!role) this.#problem(`${where}.${key}`, `is not a role that a plan can hold${didYouMean(key, PLAN_ROLES)}`);
      else if (isTable(settings)) return [{ machine: name, role, settings }];
      else this.#problem(`${where}.${key}`, `must be a section, got ${showValue(settings)}`);
      return [];
    });
  }

  #problem(where: string, text: string): void {
    this.problems.push(`${quoteText(where, 100).slice(1, -1)} in ${this.#file} ${text}`);
  }
}

export interface Filling {
  /** Where directories listen, host and port. */
  readonly bases: readonly string[];
  /** Settings to use where the plan says nothing and the role has them. */
  readonly defaults: Table;
}

/** What a role of the plan is told. */
export async function settingsOf(planned: PlannedRole, plan: Plan, filling: Filling): Promise<Record<string, unknown>> {
  const { config } = await loadRole(planned.role);
  return inputOfTable(config, filled(planned.settings, config.shape, filling), placeOf(planned, plan.file)).input;
}

/** The settings, with what they leave out, and `{base}` replaced wherever text has it. */
function filled(settings: Table, shape: z.core.$ZodShape, { bases, defaults }: Filling): Table {
  const said = Object.keys(settings).map(kebabCase);
  const left = Object.entries({ ...defaults, base: bases.map((at) => `http://${at}`) })
    .filter(([name]) => name in shape && !said.includes(kebabCase(name)));
  const all = JSON.stringify({ ...Object.fromEntries(left), ...settings });
  return JSON.parse(all, (_, value) => typeof value === "string" ? value.replaceAll("{base}", bases[0] ?? "") : value);
}

async function loadRole(name: PlanRole): Promise<Role> {
  return await registry.find((entry) => entry.name === name)!.load();
}

function sectionOf({ machine, role }: PlannedRole): string {
  return `machines.${machine}.${role}`;
}

function placeOf(planned: PlannedRole, file: string): { readonly file: string; readonly section: string } {
  return { file, section: `${sectionOf(planned)}.` };
}
