/**
 * `--detach`: the same command once more, in a session of its own and without the flag. What it prints is passed on until
 * it is ready; then we leave and it stays. When it ends before that, so do we, with what it logged.
 */

import { CulvertError } from "../../protocol/errors.ts";

export interface BackgroundOptions {
  /** Made anew, and then written to by the command's standard error. */
  readonly logFile: string;
  /** Stops waiting, and the command with it. */
  readonly signal: AbortSignal;
  print(line: string): void;
  /** Shows what a command that failed has logged, lines and all. */
  complain(text: string): void;
}

/** Whether a line is the one by which a role says that it is ready, in either of its forms. */
export function isReadyLine(line: string): boolean {
  return line.startsWith("ready  ") || line.startsWith('{"ready":true,');
}

/** The command that this process runs, to be run in the foreground: with the flags of Deno that it has, if any. */
export async function ownForegroundCommand(): Promise<[string, ...string[]]> {
  const [, ...words] = (await Deno.readTextFile("/proc/self/cmdline")).split("\0").slice(0, -1);
  return [Deno.execPath(), ...inForeground(words, Deno.args)];
}

/** `args` are the last of the words, or, in a compiled program of one role, begin before them. */
export function inForeground(words: readonly string[], args: readonly string[]): string[] {
  const end = args.indexOf("--");
  const at = words.length - (end < 0 ? 0 : args.length - end);
  return [...words.slice(0, at), "--no-detach", ...words.slice(at)];
}

/** Starts a command that outlives this process and waits for its ready line; gives its process id. */
export async function startInBackground(
  command: readonly [string, ...string[]],
  { logFile, signal, print, complain }: BackgroundOptions,
): Promise<number> {
  signal.throwIfAborted();
  // Deno cannot give a file to a child as its standard error; the shell can, and then becomes the command.
  const child = new Deno.Command("/bin/sh", {
    args: ["-c", 'umask 077; log=$1; shift; rm -f -- "$log"; exec "$@" 2>"$log"', "sh", logFile, ...command],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
    detached: true,
  }).spawn();
  const onAbort = () => child.kill("SIGTERM");
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    for await (const line of linesOf(child.stdout)) {
      print(line);
      if (!isReadyLine(line)) continue;
      child.unref();
      return child.pid;
    }
    const { code } = await child.status;
    signal.throwIfAborted();
    complain(await lastLines(logFile));
    throw new CulvertError("not_started", `Cannot start in the background: it ended with ${code}; its log is above`);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** Ending the loop early lets go of the stream, and nobody reads what comes after. */
async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}

const SHOWN_LINES = 20;

async function lastLines(path: string): Promise<string> {
  const text = await Deno.readTextFile(path).catch(() => "");
  return text.split(/^/m).slice(-SHOWN_LINES).join("");
}
