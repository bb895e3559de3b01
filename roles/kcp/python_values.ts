/**
 * The values that a file of Python assigns to names, where they are plain: numbers and products of them, texts, True, False,
 * None, tuples, lists and dictionaries. Nothing is run.
 *
 *   readAssignments("port = 45000  # closed\nmapping = {14000: 443}")      { port: 45000, mapping: Map {"14000" → 443} }
 */

import { CulvertError } from "../../protocol/errors.ts";

export type PythonValue = number | string | boolean | null | readonly PythonValue[] | ReadonlyMap<string, PythonValue>;

const TOKEN =
  // Before names come texts, which may begin with a letter.
  /[ \t\r\f]+|\\\r?\n|#[^\n]*|(\n)|((?:0[xX][0-9A-Fa-f]+|\d[\d_]*)(?:\.\d+)?)|([rRbBuU]?"""[^]*?"""|[rRbBuU]?'''[^]*?'''|[rRbBuU]?"(?:[^"\\\n]|\\.)*"|[rRbBuU]?'(?:[^'\\\n]|\\.)*')|([A-Za-z_]\w*)|([=*()[\]{},:+-])|([^])/y;

interface Token {
  readonly kind: "line" | "name" | "number" | "text" | "mark" | "other";
  readonly text: string;
  readonly line: number;
}

const MAX_CHARACTERS = 1 << 20;
const MAX_DEPTH = 16;

/** Throws `bad_file` with the line of what is no plain assignment. */
export function readAssignments(text: string): Record<string, PythonValue> {
  if (text.length > MAX_CHARACTERS) {
    throw new CulvertError("bad_file", `Cannot read Python: it must have at most ${MAX_CHARACTERS} characters`);
  }
  return new Reader(tokensOf(text)).assignments();
}

function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  const pattern = new RegExp(TOKEN);
  let line = 1;
  for (let match = pattern.exec(text); match && match[0] !== ""; match = pattern.exec(text)) {
    const [all, newLine, number, string, name, mark, other] = match;
    if (newLine !== undefined) tokens.push({ kind: "line", text: all, line });
    else if (name !== undefined) tokens.push({ kind: "name", text: name, line });
    else if (number !== undefined) tokens.push({ kind: "number", text: number, line });
    else if (string !== undefined) tokens.push({ kind: "text", text: string, line });
    else if (mark !== undefined) tokens.push({ kind: "mark", text: mark, line });
    else if (other !== undefined) tokens.push({ kind: "other", text: other, line });
    line += all.split("\n").length - 1;
  }
  tokens.push({ kind: "line", text: "\n", line });
  return tokens;
}

class Reader {
  readonly #tokens: readonly Token[];
  #at = 0;
  /** Brackets that are open: lines do not count within. */
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  assignments(): Record<string, PythonValue> {
    const values: Record<string, PythonValue> = Object.create(null);
    for (;;) {
      while (this.#peek()?.kind === "line") this.#at++;
      const name = this.#peek();
      if (!name) return values;
      if (name.kind !== "name") throw this.#unexpected();
      this.#at++;
      this.#take("=");
      values[name.text] = this.#value();
      if (this.#peek()?.kind !== "line") throw this.#unexpected();
    }
  }

  #value(): PythonValue {
    let value = this.#atom();
    while (this.#is("*")) {
      this.#take("*");
      const factor = this.#atom();
      if (typeof value !== "number" || typeof factor !== "number") throw this.#unexpected();
      value *= factor;
    }
    return value;
  }

  #atom(): PythonValue {
    const token = this.#next();
    switch (token?.kind) {
      case "number":
        return Number(token.text.replaceAll("_", ""));
      case "text":
        return this.#texts(token.text);
      case "name":
        if (token.text === "True" || token.text === "False") return token.text === "True";
        if (token.text === "None") return null;
        break;
      case "mark":
        if (token.text === "-") return this.#negative();
        if (token.text === "(" || token.text === "[") return this.#list(token.text);
        if (token.text === "{") return this.#dictionary();
        break;
    }
    this.#at--;
    throw this.#unexpected();
  }

  #negative(): number {
    const value = this.#atom();
    if (typeof value !== "number") throw this.#unexpected();
    return -value;
  }

  /** Texts that follow one another are one. */
  #texts(first: string): string {
    let text = unquoted(first);
    for (let next = this.#peek(); next?.kind === "text"; next = this.#peek()) {
      this.#at++;
      text += unquoted(next.text);
    }
    return text;
  }

  #list(open: "(" | "["): PythonValue {
    const close = open === "(" ? ")" : "]";
    const values: PythonValue[] = [];
    let hasComma = false;
    this.#open();
    while (!this.#is(close)) {
      values.push(this.#value());
      if (!this.#is(",")) break;
      hasComma = true;
      this.#take(",");
    }
    this.#close(close);
    // One value in parentheses is that value.
    return open === "(" && values.length === 1 && !hasComma ? values[0]! : values;
  }

  #dictionary(): PythonValue {
    const values = new Map<string, PythonValue>();
    this.#open();
    while (!this.#is("}")) {
      const key = this.#value();
      this.#take(":");
      values.set(String(key), this.#value());
      if (!this.#is(",")) break;
      this.#take(",");
    }
    this.#close("}");
    return values;
  }

  #open(): void {
    if (++this.#depth > MAX_DEPTH) throw this.#unexpected();
  }

  #close(bracket: string): void {
    if (!this.#is(bracket)) throw this.#unexpected();
    this.#depth--;
    this.#at++;
  }

  #is(mark: string): boolean {
    const token = this.#peek();
    return token?.kind === "mark" && token.text === mark;
  }

  #take(mark: string): void {
    if (!this.#is(mark)) throw this.#unexpected();
    this.#at++;
  }

  #next(): Token | undefined {
    const token = this.#peek();
    this.#at++;
    return token;
  }

  #peek(): Token | undefined {
    while (this.#depth > 0 && this.#tokens[this.#at]?.kind === "line") this.#at++;
    return this.#tokens[this.#at];
  }

  /** Only the line: what stands there may be a key. */
  #unexpected(): CulvertError {
    const line = (this.#tokens[this.#at] ?? this.#tokens.at(-1))?.line ?? 1;
    return new CulvertError("bad_file", `Cannot read Python: line ${line} must be name = value, the value a plain one`);
  }
}

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r", "0": "\0", "\n": "" };

function unquoted(token: string): string {
  const isRaw = /^[rR]/.test(token);
  const quoted = token.replace(/^[rRbBuU]/, "");
  const quotes = /^("""|''')/.test(quoted) ? 3 : 1;
  const inner = quoted.slice(quotes, -quotes);
  return isRaw ? inner : inner.replaceAll(/\\([^])/g, (_, letter: string) => ESCAPES[letter] ?? letter);
}
