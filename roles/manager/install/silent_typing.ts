/**
 * A terminal that does not show what is typed, as long as a secret is: by stty(1), until it is disposed or this process ends.
 */

export class SilentTyping implements Disposable {
  readonly #before: string;
  readonly #restore = () => void stty(this.#before);

  private constructor(before: string) {
    this.#before = before;
    // On ways out that wait for nothing as well.
    globalThis.addEventListener("unload", this.#restore);
  }

  /** Undefined where the terminal cannot be told. */
  static begin(): SilentTyping | undefined {
    const before = stty("-g");
    return before !== undefined && stty("-echo") !== undefined ? new SilentTyping(before) : undefined;
  }

  [Symbol.dispose](): void {
    globalThis.removeEventListener("unload", this.#restore);
    this.#restore();
  }
}

/** What it prints; undefined where it fails. */
function stty(word: string): string | undefined {
  try {
    const { success, stdout } = new Deno.Command("stty", { args: [word], stdin: "inherit", stderr: "null" })
      .outputSync();
    return success ? new TextDecoder().decode(stdout).trim() : undefined;
  } catch {
    return undefined; // there is none
  }
}
