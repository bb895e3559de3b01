/**
 * The system's users that services run as: one for each, without a password, a shell or a home that it could log in to.
 */

import { CulvertError } from "../../../protocol/errors.ts";
import { findProgram, runProgram } from "../../machine/programs.ts";
import { type Account, findAccount } from "../accounts.ts";

/** Undefined where there is none. */
export async function findUser(name: string): Promise<Account | undefined> {
  return findAccount(await Deno.readTextFile("/etc/passwd"), name);
}

/** Makes it, with a group of its own. `home` is what it is told is its home; nothing is made there. */
export async function createUser(name: string, home: string): Promise<void> {
  if (findProgram("useradd")) {
    const shell = findProgram("nologin") ?? "/bin/false";
    const flags = ["--system", "--user-group", "--no-create-home", "--home-dir", home, "--shell", shell];
    return await runProgram(["useradd", ...flags, "--", name]);
  }
  if (!findProgram("adduser")) {
    throw new CulvertError(
      "no_program",
      `Cannot make the user ${name}: there must be useradd or adduser here. Make it by other means, or give --user`,
    );
  }
  await runProgram(["addgroup", "-S", name]);
  await runProgram(["adduser", "-S", "-D", "-H", "-h", home, "-s", "/sbin/nologin", "-G", name, name]);
}

/** What it owns is not looked for. */
export async function removeUser(name: string): Promise<void> {
  if (await findUser(name) === undefined) return;
  await runProgram([findProgram("userdel") ? "userdel" : "deluser", name]);
}
