/**
 * Users of this machine, by /etc/passwd (passwd(5)), for services that have one of their own. Those of a directory service
 * (LDAP) are not found.
 */

import { CulvertError } from "../../protocol/errors.ts";

export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

const PASSWD = "/etc/passwd";

/** Throws `no_user` where there is none of that name. */
export async function accountOf(name: string, passwd: string = PASSWD): Promise<Account> {
  const account = findAccount(await Deno.readTextFile(passwd), name);
  if (account) return account;
  throw new CulvertError("no_user", `Cannot run as ${name}: the user must be in ${passwd}, and is not`);
}

/** `passwd`: name:password:uid:gid:words:home:shell⏎ … */
export function findAccount(passwd: string, name: string): Account | undefined {
  const fields = passwd.split("\n").map((line) => line.split(":")).find((fields) => fields[0] === name);
  const [uid, gid, home] = [fields?.[2], fields?.[3], fields?.[5]];
  if (!uid || !gid || home === undefined || !/^\d+$/.test(uid) || !/^\d+$/.test(gid)) return undefined;
  return { name, uid: Number(uid), gid: Number(gid), home: home || "/" };
}
