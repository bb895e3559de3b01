/**
 * What a unit has written, as journalctl tells it.
 */

import { CulvertError } from "../../protocol/errors.ts";
import type { LogLinesOptions } from "./log_source.ts";
import { TextLines } from "./text_lines.ts";

const MAX_COMPLAINT = 200;

export async function* journalLines(
  unit: string,
  { lines, follow, signal }: Pick<LogLinesOptions, "lines" | "follow" | "signal">,
): AsyncGenerator<string> {
  signal.throwIfAborted();
  const args = ["--unit", unit, "--lines", String(lines), "--output", "cat", "--no-pager", "--quiet"];
  const child = spawn([...args, ...follow ? ["--follow"] : []]);
  const end = () => endChild(child);
  signal.addEventListener("abort", end, { once: true });
  const complaint = new Response(child.stderr).text();
  try {
    const text = new TextLines();
    for await (const bytes of child.stdout) {
      signal.throwIfAborted();
      yield* text.push(bytes);
    }
    yield* text.end();
    signal.throwIfAborted();
    const { success } = await child.status;
    if (!success) {
      throw new CulvertError("journal", `Cannot read the journal: ${(await complaint).slice(0, MAX_COMPLAINT)}`);
    }
  } finally {
    signal.removeEventListener("abort", end);
    end();
    await Promise.all([child.status, complaint]);
  }
}

function spawn(args: readonly string[]): Deno.ChildProcess {
  try {
    return new Deno.Command("journalctl", { args: [...args], stdin: "null", stdout: "piped", stderr: "piped" }).spawn();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new CulvertError("no_journal", "Cannot read the journal: journalctl must be installed", { cause: error });
  }
}

function endChild(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGTERM");
  } catch {
    // it has ended by itself
  }
}
