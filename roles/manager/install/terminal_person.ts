/**
 * Whoever sits at this process's terminal: hears on standard error, since results go to standard output.
 */

import { typedLines } from "../../typed_lines.ts";
import { SilentTyping } from "./silent_typing.ts";
import type { Person } from "./wizard.ts";

export class TerminalPerson implements Person {
  readonly #tell: (line: string) => void;
  /** One for all answers: several lines may have been typed, or pasted, at once. */
  #lines: AsyncGenerator<string> | undefined;

  constructor(tell: (line: string) => void) {
    this.#tell = tell;
  }

  static isThere(): boolean {
    return Deno.stdin.isTerminal() && Deno.stderr.isTerminal();
  }

  say(line: string): void {
    this.#tell(line);
  }

  async ask(prompt: string, signal: AbortSignal, { secret } = { secret: false }): Promise<string | undefined> {
    if (!secret) return await this.#answer(prompt, signal);
    using silence = SilentTyping.begin();
    if (!silence) this.say("This terminal cannot hide what is typed.");
    const answer = await this.#answer(prompt, signal);
    if (silence) this.say(""); // the Enter was not shown either
    return answer;
  }

  async #answer(prompt: string, signal: AbortSignal): Promise<string | undefined> {
    Deno.stderr.writeSync(new TextEncoder().encode(prompt));
    this.#lines ??= typedLines(signal);
    try {
      const { value, done } = await this.#lines.next();
      return done ? undefined : value;
    } catch (error) {
      if (signal.aborted) return undefined; // Ctrl-C: they have gone
      throw error;
    }
  }
}
