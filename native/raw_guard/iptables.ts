/**
 * The programs iptables and ip6tables: one rule at a time, synchronous where a guard begins, since all of it or none of it
 * is to be in place, and not where it only looks whether it still is.
 */

import { CulvertError } from "../../protocol/errors.ts";

/** Where the kernel has no nf_tables only the first works; where there is only one program it is the second. */
const PROGRAMS = { 4: ["iptables-legacy", "iptables"], 6: ["ip6tables-legacy", "ip6tables"] } as const;
/** Often not on a user's PATH. */
const SYSTEM_FOLDERS = ["/usr/local/sbin", "/usr/sbin", "/sbin"];
/** How long others may hold the lock of iptables. */
const LOCK_WAIT = ["-w", "5"];
const MAX_SHOWN = 200;

export class Iptables {
  readonly family: 4 | 6;
  readonly #program: string;

  constructor(family: 4 | 6, program: string) {
    this.family = family;
    this.#program = program;
  }

  /** Undefined when it is not installed. */
  static find(family: 4 | 6): Iptables | undefined {
    const folders = [...(Deno.env.get("PATH") ?? "").split(":"), ...SYSTEM_FOLDERS].filter((folder) => folder !== "");
    const path = PROGRAMS[family].flatMap((name) => folders.map((folder) => `${folder}/${name}`)).find(isFile);
    return path === undefined ? undefined : new Iptables(family, path);
  }

  /** Before all others of its chain. */
  insert(table: string, rule: readonly string[]): void {
    const [chain, ...rest] = rule;
    const args = [...LOCK_WAIT, "-t", table, "-I", chain!, ...rest];
    const { success, stderr } = new Deno.Command(this.#program, { args, stdin: "null" }).outputSync();
    if (!success) throw this.#failed("add a rule", stderr);
  }

  /** False when it is not there. */
  remove(table: string, rule: readonly string[]): boolean {
    const args = [...LOCK_WAIT, "-t", table, "-D", ...rule];
    return new Deno.Command(this.#program, { args, stdin: "null", stderr: "null" }).outputSync().success;
  }

  /** The rules of a table as they would be added; none where there is no such table. */
  list(table: string): string {
    const args = [...LOCK_WAIT, "-t", table, "-S"];
    const { success, stdout } = new Deno.Command(this.#program, { args, stdin: "null", stderr: "null" }).outputSync();
    return success ? new TextDecoder().decode(stdout) : "";
  }

  /** The same, while other things go on; rejects when it cannot be told. */
  async listLater(table: string): Promise<string> {
    const args = [...LOCK_WAIT, "-t", table, "-S"];
    const { success, stdout, stderr } = await new Deno.Command(this.#program, { args, stdin: "null" }).output();
    if (!success) throw this.#failed("list rules", stderr);
    return new TextDecoder().decode(stdout);
  }

  #failed(action: string, stderr: Uint8Array): CulvertError {
    const said = new TextDecoder().decode(stderr).trim().replaceAll(/\s+/g, " ").slice(0, MAX_SHOWN);
    return new CulvertError("iptables_failed", `Cannot ${action} by ${this.#program}: it says "${said}"`);
  }
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
