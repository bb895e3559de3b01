/**
 * `culvert manager install`: a role of ours or a program of others as a service: its configuration, a user of its own, a
 * service file. On a terminal it asks what it must know; elsewhere flags say it.
 *
 *   flags ─▶ questions on a terminal ─▶ plan ─▶ shown ─▶ yes ─▶ applied, or all taken back ─▶ the manager starts it
 */

import { z } from "zod";
import { CulvertError } from "../../protocol/errors.ts";
import { MANAGER_UNIT } from "../../protocol/manager/manager_unit_text.ts";
import { ConfigError } from "../config.ts";
import { pathUrl } from "../fields.ts";
import { askControlSocket } from "../control_socket.ts";
import { runProgram } from "../machine/programs.ts";
import { defineRole, type Role, type RoleContext } from "../role.ts";
import { Asking, noManagerText } from "./asking.ts";
import { runDeed } from "./deed.ts";
import { answerProblems, problemsWith, readAnswers } from "./install/answers.ts";
import { applyPlan, applySteps, stepWords } from "./install/apply.ts";
import { kindNames, kindOf } from "./install/kinds.ts";
import {
  hasManagerUnit,
  type InstallMachine,
  type InstallPlan,
  type InstallRequest,
  ownUserOf,
  planInstall,
  requireNew,
  requireUserName,
} from "./install/plan.ts";
import { planRefresh } from "./install/refresh.ts";
import { InstallRecords } from "./install/record.ts";
import { fileLines, planJson, planLines } from "./install/show_plan.ts";
import { TerminalPerson } from "./install/terminal_person.ts";
import { thisInstallMachine } from "./install/this_machine.ts";
import { askForService, type Draft, GIVEN_UP, givenAnswers, type Person } from "./install/wizard.ts";
import { placesConfig } from "./places.ts";
import { managerWords } from "./words.ts";

const config = z.object({
  name: z.string().optional().describe("What the service is called.")
    .meta({ positional: true, placeholder: "service", defaultText: "the role's name" }),
  role: z.string().optional().describe("What it runs: a role that runs until stopped, or paqet, gfk, xray.")
    .meta({ placeholder: "role" }),
  set: z.array(z.string().meta({ placeholder: "key=value", secret: true })).default([])
    .describe("A setting of the role, as in its configuration file."),
  user: z.string().optional().describe("Who runs it; root for no user of its own. One that is not there is made.")
    .meta({ placeholder: "user", defaultText: "culvert-NAME, where that can do it" }),
  probe: pathUrl(undefined, { schemes: ["http", "https"] }).optional()
    .describe("A URL to fetch through its proxy now and then, to see that it carries traffic."),
  yes: z.boolean().default(false).describe("Ask nothing."),
  dryRun: z.boolean().default(false).describe("Print every file and change nothing."),
  start: z.boolean().default(true).describe(
    "Have the manager start it; with --no-start its file says enabled = false.",
  ),
  refresh: z.boolean().default(false)
    .describe("Install nothing; bring the modules of services and the manager's unit up to this version."),
  ...placesConfig,
});
export type InstallSettings = z.output<typeof config>;

/** Long enough for the slowest start that there may be. */
const START_WITHIN_MS = 120_000;

export const installRole: Role<typeof config> = defineRole({
  name: "manager-install",
  summary: "Makes a service of a role, or of paqet, gfk or xray: asks, or goes by flags.",
  config,
  examples: [
    "sudo culvert manager install",
    "culvert manager install way-out --role kcp-client --set server=URL --yes",
    "culvert manager install --role proxy --set listen=127.0.0.1:1080 --dry-run",
    "culvert manager install --role paqet --set server=HOST:9999 --set key=K --yes",
  ],
  longRunning: false,
  run: (settings, context) => runInstall(settings, context, thisInstallMachine(settings, context)),
});

export async function runInstall(
  settings: InstallSettings,
  context: RoleContext,
  machine: InstallMachine,
  person: Person | undefined = TerminalPerson.isThere() ? new TerminalPerson(context.tell) : undefined,
): Promise<void> {
  const { yes, dryRun } = settings;
  if (settings.refresh) return await runRefresh(settings, context, machine);
  const draft = await draftOf(settings);
  const asks = person !== undefined && !yes && !context.json;
  if (!asks && !yes && !dryRun) {
    throw new ConfigError("install", [
      "--yes must be given where nobody can be asked; --dry-run shows what it would do",
    ]);
  }
  const plan = asks
    ? await agreed(draft, { settings, context, machine, person })
    : await planInstall(await unasked(draft, settings, machine), machine);
  if (!plan) return;
  if (context.json) context.print(JSON.stringify({ ...planJson(plan), dryRun }));
  else if (dryRun) { for (const line of [...planLines(plan), ...fileLines(plan)]) context.print(line); }
  if (dryRun) return;
  for (const note of plan.notes) context.log.warn(note);
  const records = new InstallRecords(machine.stateDir);
  await applyPlan(plan, { records, signal: context.signal, onStep: context.tell });
  await handOver(plan, { settings, context, machine });
}

/** What the flags say. */
async function draftOf({ name, role, set, user, probe }: InstallSettings): Promise<Draft> {
  const kind = role === undefined ? undefined : await kindOf(role);
  if (!kind && set.length > 0) throw new ConfigError("install", ["--role must be given where --set is"]);
  const { answers, problems } = kind ? readAnswers(set, kind) : { answers: {}, problems: [] };
  if (problems.length > 0) throw new ConfigError("install", problems);
  return {
    ...kind && { kind },
    ...name !== undefined && { name },
    answers,
    ...user !== undefined && { user },
    ...probe && { probeUrl: probe.href },
  };
}

/** The request, where nobody is asked. */
async function unasked(draft: Draft, settings: InstallSettings, machine: InstallMachine): Promise<InstallRequest> {
  const { kind, name = kind?.name } = draft;
  if (!kind || name === undefined) throw new ConfigError("install", ["--role must be given"]);
  const user = draft.user ?? proposedUser({ ...draft, name }, machine) ?? "";
  return await requestOf(
    { kind, name, answers: draft.answers, user, probeUrl: draft.probeUrl ?? "" },
    settings,
    machine,
  );
}

/** Rejects with a ConfigError for whatever is wrong or missing. */
async function requestOf(
  { kind, name, answers, user, probeUrl }: Required<Draft>,
  settings: InstallSettings,
  machine: InstallMachine,
): Promise<InstallRequest> {
  const problems = await answerProblems(givenAnswers(answers), kind);
  if (problems.length > 0) throw new ConfigError("install", problems);
  requireRootForUser(settings, machine);
  if (user !== "") requireUserName(name, user);
  return {
    kind,
    name,
    answers: givenAnswers(answers),
    user: user === "" || user === "root" ? undefined : user,
    starts: settings.start,
    ...probeUrl !== "" && { probeUrl },
  };
}

function requireRootForUser({ user }: InstallSettings, { isRoot }: InstallMachine): void {
  if (isRoot || user === undefined) return;
  throw new ConfigError("install", ["--user must be left out, as only root can run a service as somebody else"]);
}

/** One of its own, where whoever that is can do what it is for. */
function proposedUser({ kind, name, answers }: Draft, { isRoot, givesRights }: InstallMachine): string | undefined {
  if (!isRoot) return undefined;
  const needsRoot = !givesRights && kind?.needsRoot(givenAnswers(answers)) !== undefined;
  return needsRoot ? "root" : ownUserOf(name!);
}

interface Asked {
  readonly settings: InstallSettings;
  readonly context: RoleContext;
  readonly machine: InstallMachine;
  readonly person: Person;
}

/** What they want and have said yes to; undefined for a dry run that they have seen. */
async function agreed(draft: Draft, { settings, context, machine, person }: Asked): Promise<InstallPlan | undefined> {
  const { signal } = context;
  const proposed = (known: Draft) => proposedUser(known, machine);
  const before: Draft[] = [];
  const options = { person, kinds: await kindNames(), before, signal, proposedUser: proposed };
  await checkDraft(draft, settings, machine);
  let asked = draft;
  for (;;) {
    const full = await askForService(asked, options);
    try {
      const plan = await planInstall(await requestOf(full, settings, machine), machine);
      if (settings.dryRun || await confirmed(plan, person, signal)) return plan;
    } catch (error) {
      // What flags say nobody here can say otherwise.
      if (!(error instanceof CulvertError) || error.code === "given_up" || before.length === 0) throw error;
      person.say(error.message);
    }
    asked = before.pop() ?? full;
  }
}

/** What can be told of the flags is told before anything is asked. Rejects with what is wrong. */
async function checkDraft({ kind, name, answers, user }: Draft, settings: InstallSettings, machine: InstallMachine) {
  const problems = kind ? await problemsWith(Object.keys(answers), answers, kind) : [];
  if (problems.length > 0) throw new ConfigError("install", problems);
  requireRootForUser(settings, machine);
  if (name !== undefined) await requireNew(name, machine);
  if (user) requireUserName(name ?? kind?.name ?? "it", user);
}

/** False to go back. */
async function confirmed(plan: InstallPlan, person: Person, signal: AbortSignal): Promise<boolean> {
  person.say("");
  for (const line of planLines(plan)) person.say(line);
  for (;;) {
    const answer = (await person.ask("Do this? y yes, s show every file, < back, q give up > ", signal))?.trim();
    if (answer === "s") { for (const line of fileLines(plan)) person.say(line); }
    else if (answer === "y" || answer === "yes") return true;
    else if (answer === "<") return false;
    else if (answer === undefined || answer === "q" || answer === "n") throw new CulvertError("given_up", GIVEN_UP);
  }
}

/** What is installed goes on with what it has until it is restarted. */
async function runRefresh(
  { name, role, set, dryRun }: InstallSettings,
  context: RoleContext,
  machine: InstallMachine,
): Promise<void> {
  if (name !== undefined || role !== undefined || set.length > 0) {
    throw new ConfigError("install", ["--refresh must be given alone: it installs nothing"]);
  }
  const { steps, notes } = await planRefresh(machine);
  for (const note of notes) context.log.warn(note);
  if (dryRun) { for (const step of steps) context.print(stepWords(step)); }
  if (dryRun) return;
  await applySteps(steps, { signal: context.signal, onStep: context.tell });
  if (hasManagerUnit(machine)) {
    await runProgram(["systemctl", "daemon-reload"], { signal: context.signal });
    // Units go on meanwhile.
    await runProgram(["systemctl", "try-restart", MANAGER_UNIT], { signal: context.signal });
  }
  context.tell("All is up to date; services run as they were until: culvert manager restart --all");
}

/** The manager is told, and started where systemd can do it. */
async function handOver(plan: InstallPlan, { settings, context, machine }: Omit<Asked, "person">): Promise<void> {
  const { places, managerFlags } = machine;
  const { name } = plan;
  const asking = new Asking(settings, context);
  if (hasManagerUnit(machine)) {
    await runProgram(["systemctl", "daemon-reload"], { signal: context.signal });
    const isRunning = await asking.tryReport() !== undefined;
    const isOutdated = plan.steps.some((step) => step.do === "file" && step.replaces !== undefined);
    if (!isRunning) await runProgram(["systemctl", "enable", "--now", MANAGER_UNIT], { signal: context.signal });
    else if (isOutdated) await runProgram(["systemctl", "try-restart", MANAGER_UNIT], { signal: context.signal });
  }
  const answer = await askControlSocket({ path: places.socket, words: managerWords }, { do: "reload" }, context);
  if (!answer) {
    // On a machine with systemd one that is not told otherwise would make units.
    const flags = places.backend === "own" ? managerFlags.map((flag) => ` ${flag}`).join("") : "";
    return context.tell(`${name} is installed. As for the manager, ${noManagerText(places)}${flags}`);
  }
  if (!settings.start) return context.tell(`${name} is installed, and not started: culvert manager start ${name} does`);
  context.tell(`${name} is installed`);
  await runDeed("start", { ...settings, names: [name], all: false, timeout: START_WITHIN_MS }, {
    ...context,
    json: false,
    print: context.tell,
  });
}
