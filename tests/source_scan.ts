/**
 * Which global names a TypeScript source really uses: a tokenizer that drops comments, strings, regular expressions and
 * template text, and a search for name sequences such as `Date.now` among the tokens that are left.
 *
 *   source → tokens {text, line, depth} → uses of a banned sequence
 *
 * It is not a parser. A member (`host.setTimeout`), a property (`{ setTimeout: … }`) and a declared method
 * (`setTimeout(callback: () => void): number;` in an interface) are not uses of the global; a local variable that
 * shadows a global is reported all the same: give it another name.
 */

export interface Token {
  readonly text: string;
  readonly line: number;
  /** How many `{` are open around it. */
  readonly depth: number;
}

export interface NameUse {
  readonly name: string;
  readonly line: number;
}

/** One alternative per kind of token; what is in no named group is a token as it stands. */
const LEXEME = new RegExp(
  [
    String.raw`(?<space>\s+|\/\/[^\n]*|\/\*[\s\S]*?\*\/|^#![^\n]*)`,
    String.raw`(?<string>"(?:\\[\s\S]|[^"\\])*"|'(?:\\[\s\S]|[^'\\])*')`,
    String.raw`(?<number>\d[\w.]*)`,
    String.raw`(?<word>[#\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*)`,
    String.raw`(?<mark>\.\.\.|\?\.|=>|[\s\S])`,
  ].join("|"),
  "uy",
);
const REGEX_LITERAL = /\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^\/\\\[\n])+\/[\p{ID_Continue}]*/uy;
/** Template text up to its end or to the next `${`. */
const TEMPLATE_TEXT = /(?:\\[\s\S]|\$(?!\{)|[^`\\$])*(?:`|\$\{)/uy;

/** After one of these a `/` begins a regular expression; after a name, number or closing bracket it divides. */
const BEFORE_REGEX = new Set(["return", "typeof", "case", "in", "of", "delete", "void", "throw", "new", "do", "else"]);
const ENDS_VALUE = /^(?:[\p{ID_Continue}$#][^]*|\)|\]|\}|"")$/u;

/** The tokens of a source. A string, template or regular expression becomes the one token `""`. */
export function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  const templateDepths: number[] = [];
  let at = 0;
  let line = 1;
  let depth = 0;

  function take(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = at;
    const match = pattern.exec(source);
    if (!match) return undefined;
    at += match[0].length;
    for (const character of match[0]) if (character === "\n") line++;
    return match;
  }

  function takeTemplate(): void {
    const text = take(TEMPLATE_TEXT);
    if (!text) at = source.length;
    else if (text[0].endsWith("${")) templateDepths.push(depth++);
  }

  while (at < source.length) {
    const startLine = line;
    const previous = tokens.at(-1)?.text;
    const dividesHere = previous !== undefined && ENDS_VALUE.test(previous) && !BEFORE_REGEX.has(previous);
    const isComment = source.startsWith("//", at) || source.startsWith("/*", at);
    if (source[at] === "/" && !isComment && !dividesHere && take(REGEX_LITERAL)) {
      tokens.push({ text: '""', line: startLine, depth });
      continue;
    }
    const lexeme = take(LEXEME)!;
    const text = lexeme[0];
    if (lexeme.groups!.space !== undefined) continue;
    if (lexeme.groups!.string !== undefined) tokens.push({ text: '""', line: startLine, depth });
    else if (text === "`") {
      tokens.push({ text: '""', line: startLine, depth });
      takeTemplate();
    } else if (text === "}" && templateDepths.at(-1) === depth - 1) {
      templateDepths.pop();
      depth--;
      takeTemplate();
    } else {
      if (text === "}") depth--;
      tokens.push({ text, line: startLine, depth });
      if (text === "{") depth++;
    }
  }
  return tokens;
}

/** Where the source uses one of the names. A name is a sequence of tokens, such as `Date.now` or `new Date()`. */
export function findGlobalUses(source: string, names: readonly string[]): NameUse[] {
  const tokens = tokenize(source);
  const uses: NameUse[] = [];
  for (const name of names) {
    const wanted = tokenize(name).map((token) => token.text);
    for (let at = 0; at < tokens.length; at++) {
      if (wanted.every((text, offset) => tokens[at + offset]?.text === text) && isGlobalUse(tokens, at)) {
        uses.push({ name, line: tokens[at]!.line });
      }
    }
  }
  return uses.sort((a, b) => a.line - b.line);
}

/** Calls of `Deno.…` and awaits that run when the module is loaded: outside braces and not behind an arrow. */
export function findImportTimeEffects(source: string): NameUse[] {
  const tokens = tokenize(source);
  const uses: NameUse[] = [];
  let behindArrow = false;
  for (let at = 0; at < tokens.length; at++) {
    const { text, line, depth } = tokens[at]!;
    if (depth > 0) continue;
    if (text === "=>") behindArrow = true;
    else if (text === ";" || text === "}") behindArrow = false;
    else if (behindArrow) continue;
    else if (text === "await") uses.push({ name: "await", line });
    else if (text === "Deno" && isGlobalUse(tokens, at) && tokens[at + 3]?.text === "(") {
      uses.push({ name: `Deno.${tokens[at + 2]?.text}()`, line });
    }
  }
  return uses;
}

/** What may stand before a member's name in a class, an interface or an object literal. */
const BEFORE_MEMBER = new Set(["{", "}", ";", ",", "readonly", "async", "get", "set", "static", "override", "declare"]);

/** Whether the name at `at` is the global of that name rather than a member called the same. */
function isGlobalUse(tokens: readonly Token[], at: number): boolean {
  const previous = tokens[at - 1]?.text;
  if (previous === "." || previous === "?.") return false;
  const mayBeMember = previous !== undefined && (BEFORE_MEMBER.has(previous) || previous === "(");
  if (!mayBeMember) return true;
  const next = tokens[at + 1]?.text;
  if (next === ":" || (next === "?" && tokens[at + 2]?.text === ":")) return false;
  if (next !== "(" || previous === "(") return true;
  const after = tokens[closingParenthesis(tokens, at + 1) + 1]?.text;
  return after !== ":" && after !== "{";
}

function closingParenthesis(tokens: readonly Token[], open: number): number {
  let nesting = 0;
  for (let at = open; at < tokens.length; at++) {
    if (tokens[at]!.text === "(") nesting++;
    else if (tokens[at]!.text === ")" && --nesting === 0) return at;
  }
  return tokens.length;
}
