/**
 * What is typed on the terminal, line by line.
 *
 * Only on a terminal in whose foreground we are: to read there from the background would stop the whole program.
 */

import { orAborted } from "../protocol/abort.ts";

/** Nobody types more in one line. */
const MAX_LINE_BYTES = 4096;

/** The lines typed on the terminal; none where there is no terminal, or it is not ours at present. */
export async function* typedLines(signal: AbortSignal): AsyncGenerator<string> {
  if (!Deno.stdin.isTerminal() || !await isInForeground()) return;
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(MAX_LINE_BYTES);
  let text = "";
  while (!signal.aborted) {
    const count = await orAborted(Deno.stdin.read(buffer), signal);
    if (count === null) return;
    const lines = (text + decoder.decode(buffer.subarray(0, count), { stream: true })).split("\n");
    text = lines.pop()!.slice(0, MAX_LINE_BYTES);
    yield* lines;
  }
}

/** Whether the terminal's foreground process group is ours (proc_pid_stat(5): pgrp and tpgid). */
async function isInForeground(): Promise<boolean> {
  try {
    const stat = await Deno.readTextFile("/proc/self/stat");
    const [, , pgrp, , , tpgid] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return pgrp === tpgid;
  } catch {
    return true; // no Linux: most are
  }
}
