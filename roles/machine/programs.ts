/**
 * The few programs of the system that the role calls: `resolvconf`, and the shell for hooks. Nothing else here needs one.
 */

import { CulvertError } from "../../protocol/errors.ts";
import { escapeText } from "../escape.ts";

/** Folders that hold programs of the system but are often not on a user's PATH. */
const SYSTEM_FOLDERS = ["/usr/local/sbin", "/usr/sbin", "/sbin"];
const MAX_SHOWN = 400;

export interface ProgramInput {
  /** What it reads on its standard input; nothing when left out. */
  readonly stdin?: string;
  /** Ends it with SIGTERM; the call then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Ends it with SIGKILL, for when it takes no notice of the other. */
  readonly hardSignal?: AbortSignal;
  /** How messages call it, when its command line is nothing to show. */
  readonly calledAs?: string;
  /** Let it say on our standard error what it has to say, instead of only repeating that when it fails. */
  readonly talks?: boolean;
}

/** Where a program lies, if it is installed. */
export function findProgram(name: string): string | undefined {
  const folders = [...(Deno.env.get("PATH") ?? "").split(":"), ...SYSTEM_FOLDERS];
  return folders.filter((folder) => folder !== "").map((folder) => `${folder}/${name}`).find(isFile);
}

/** Runs a program to its end; rejects when it fails. */
export async function runProgram(command: readonly [string, ...string[]], input: ProgramInput = {}): Promise<void> {
  const [program, ...args] = command;
  const { stdin, signal, hardSignal, calledAs = `"${command.join(" ")}"`, talks = false } = input;
  signal?.throwIfAborted();
  const child = new Deno.Command(program, {
    args,
    stdin: stdin === undefined ? "null" : "piped",
    stdout: "null",
    stderr: talks ? "inherit" : "piped",
    ...signal && { signal },
  }).spawn();
  using _killing = hardSignal && killOnAbort(child, hardSignal);
  if (stdin !== undefined) await feed(child, stdin);
  const said = talks ? "" : (await new Response(child.stderr).text()).trim();
  const { success, code } = await child.status;
  if (success) return;
  signal?.throwIfAborted();
  const why = said === "" ? "" : `: ${escapeText(said, MAX_SHOWN)}`;
  throw new CulvertError("program_failed", `Cannot run ${calledAs}: it gave ${code}${why}`);
}

function killOnAbort(child: Deno.ChildProcess, signal: AbortSignal): Disposable {
  const kill = () => {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
  };
  if (signal.aborted) kill();
  signal.addEventListener("abort", kill, { once: true });
  return { [Symbol.dispose]: () => signal.removeEventListener("abort", kill) };
}

async function feed(child: Deno.ChildProcess, text: string): Promise<void> {
  const writer = child.stdin.getWriter();
  try {
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
  } catch {
    // It ended without reading everything; its exit code says whether that matters.
  }
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
