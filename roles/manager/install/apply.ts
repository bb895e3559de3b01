/**
 * Does what a plan says. What was done is taken back when a later step fails or is broken off, so that there is either all of
 * it or nothing.
 *
 *   record ─▶ step ─▶ step ─▶ … ─▶ done
 *               └── fails: what the steps before have made is taken away, the last first
 */

import { dirname } from "@std/path";
import { CulvertError } from "../../../protocol/errors.ts";
import { createPrivateFile, replacePrivateFile } from "../../private_file.ts";
import { shareModules } from "./modules.ts";
import type { FileStep, InstallPlan, InstallStep } from "./plan.ts";
import { type InstallRecords, textHash } from "./record.ts";
import { createUser, findUser, removeUser } from "./users.ts";

export interface ApplyOptions {
  readonly records: InstallRecords;
  readonly signal: AbortSignal;
  /** Called before each step, with what it is about to do. */
  onStep(words: string): void;
}

/** Rejects with what failed, after all has been taken back. */
export async function applyPlan(plan: InstallPlan, { records, ...options }: ApplyOptions): Promise<void> {
  const { name, kind, stateDir, user } = plan;
  await using undo = new AsyncDisposableStack();
  const own = plan.steps.filter((step) => step.do === "file").filter(({ isShared }) => !isShared);
  const files = own.map(({ path, text }) => ({ path, sha256: textHash(text) }));
  // What an installation that was killed has left of it stays known, and so does that its user was made here.
  const before = await records.read(name);
  const made = user ?? before?.user;
  await records.write({
    name,
    kind,
    stateDir,
    ...made !== undefined && { user: made },
    files: [...before?.files.filter(({ path }) => !own.some((file) => file.path === path)) ?? [], ...files],
  });
  undo.defer(() => before ? records.write(before) : records.remove(name));
  await applySteps(plan.steps, options);
  undo.move();
}

/** All of them or none. */
export async function applySteps(
  steps: readonly InstallStep[],
  { signal, onStep }: Omit<ApplyOptions, "records">,
): Promise<void> {
  await using undo = new AsyncDisposableStack();
  for (const step of steps) {
    signal.throwIfAborted();
    onStep(stepWords(step));
    await applyStep(step, undo, signal);
  }
  undo.move();
}

export function stepWords(step: InstallStep): string {
  switch (step.do) {
    case "user":
      return `Make the user ${step.name}, who cannot log in`;
    case "folder":
      return `Make the folder ${step.path}${step.owner === undefined ? "" : ` for ${step.owner}`}`;
    case "file":
      return `Write ${step.path}${step.replaces === undefined ? "" : " anew"}`;
    case "modules":
      return `Put the modules of culvert into ${step.path}, where every service can read them`;
  }
}

async function applyStep(step: InstallStep, undo: AsyncDisposableStack, signal: AbortSignal): Promise<void> {
  switch (step.do) {
    case "user":
      await createUser(step.name, step.home);
      undo.defer(() => removeUser(step.name));
      return;
    case "folder":
      return await makeFolder(step, undo);
    case "file":
      return await makeFile(step, undo);
    case "modules":
      // Others use them too, and more of them do no harm: they stay.
      return await shareModules(step, signal);
  }
}

async function makeFolder(
  { path, mode, owner }: Extract<InstallStep, { do: "folder" }>,
  undo: AsyncDisposableStack,
): Promise<void> {
  const isNew = await makeParents(path, undo);
  if (isNew) await Deno.chmod(path, mode);
  if (owner === undefined) return;
  const user = await requireUser(owner);
  await Deno.chown(path, user.uid, user.gid);
}

/** Gives whether the last of them was not there. */
async function makeParents(path: string, undo: AsyncDisposableStack): Promise<boolean> {
  try {
    await Deno.mkdir(path, { mode: 0o755 });
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    await makeParents(dirname(path), undo);
    await Deno.mkdir(path, { mode: 0o755 });
  }
  undo.defer(() => removeEmpty(path));
  return true;
}

/** Others may have put something there meanwhile. */
async function removeEmpty(path: string): Promise<void> {
  await Deno.remove(path).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound) && !/not empty/i.test(String(error))) throw error;
  });
}

async function makeFile(
  { path, text, mode, readableBy, replaces }: FileStep,
  undo: AsyncDisposableStack,
): Promise<void> {
  const bytes = (words: string) => new TextEncoder().encode(words);
  await makeParents(dirname(path), undo);
  if (replaces === undefined) {
    await createPrivateFile(path, bytes(text));
    undo.defer(() => Deno.remove(path));
  } else {
    await replacePrivateFile(path, bytes(text));
    undo.defer(async () => {
      await replacePrivateFile(path, bytes(replaces));
      await Deno.chmod(path, mode);
    });
  }
  if (readableBy !== undefined) await Deno.chown(path, null, (await requireUser(readableBy)).gid);
  await Deno.chmod(path, mode);
}

async function requireUser(name: string): Promise<{ readonly uid: number; readonly gid: number }> {
  const user = await findUser(name);
  if (user) return user;
  throw new CulvertError("unknown_user", `Cannot install it: the user ${name} must be there, and is not`);
}
