/**
 * A small assembler: WebAssembly functions as text, one instruction a line, to a module that a runtime takes. For the few
 * loops where vectors pay; it knows the instructions those use and no others. The memory comes from outside, imported as
 * `slab.memory`. No folded expressions, no types but the parameters' and the result's (all i32).
 *
 * Specs: WebAssembly 2.0 §5 (binary format), §6.5 (text format of instructions).
 */

export interface WasmFunction {
  readonly name: string;
  /** Names of the i32 parameters. */
  readonly parameters: readonly string[];
  /** Names of the other locals, with their types. */
  readonly locals: Readonly<Record<string, "i32" | "i64" | "v128">>;
  /** Instructions, one per line; leaves one i32. `;;` begins a comment. */
  readonly body: string;
}

type Code = readonly number[];
type Operands = "none" | "local" | "label" | "constant" | "memory" | "lane" | "block";

const TYPES = { i32: 0x7f, i64: 0x7e, v128: 0x7b } as const;
const NO_RESULT = 0x40;

const INSTRUCTIONS: Readonly<Record<string, readonly [code: Code, operands: Operands]>> = {
  "block": [[0x02], "block"],
  "loop": [[0x03], "block"],
  "if": [[0x04], "block"],
  "end": [[0x0b], "none"],
  "br": [[0x0c], "label"],
  "br_if": [[0x0d], "label"],
  "local.get": [[0x20], "local"],
  "local.set": [[0x21], "local"],
  "local.tee": [[0x22], "local"],
  "i32.load": [[0x28], "memory"],
  "i64.load": [[0x29], "memory"],
  "i32.load8_u": [[0x2d], "memory"],
  "i32.load16_u": [[0x2f], "memory"],
  "i32.store": [[0x36], "memory"],
  "i64.store": [[0x37], "memory"],
  "i32.store8": [[0x3a], "memory"],
  "i32.store16": [[0x3b], "memory"],
  "i32.const": [[0x41], "constant"],
  "i64.const": [[0x42], "constant"],
  "i32.lt_u": [[0x49], "none"],
  "i32.add": [[0x6a], "none"],
  "i32.sub": [[0x6b], "none"],
  "i32.and": [[0x71], "none"],
  "i64.add": [[0x7c], "none"],
  "i64.and": [[0x83], "none"],
  "i64.shr_u": [[0x88], "none"],
  "i32.wrap_i64": [[0xa7], "none"],
  "i64.extend_i32_u": [[0xad], "none"],
  "v128.load": [[0xfd, 0x00], "memory"],
  "v128.store": [[0xfd, 0x0b], "memory"],
  "i32x4.extract_lane": [[0xfd, 0x1b], "lane"],
  "i32x4.extadd_pairwise_i16x8_u": [[0xfd, 0x7f], "none"],
  "i32x4.add": [[0xfd, 0xae, 0x01], "none"],
};

/** The module's bytes; every function is exported under its name. Throws on text it does not understand. */
export function assemble(functions: readonly WasmFunction[]): Uint8Array<ArrayBuffer> {
  const types = functions.map(({ parameters }) => [0x60, ...list(parameters.map(() => [TYPES.i32])), 1, TYPES.i32]);
  const memoryImport = [...text("slab"), ...text("memory"), 0x02, 0x00, 0x01];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, list(types)),
    ...section(2, list([memoryImport])),
    ...section(3, list(functions.map((_, index) => unsigned(index)))),
    ...section(7, list(functions.map(({ name }, index) => [...text(name), 0x00, ...unsigned(index)]))),
    ...section(10, list(functions.map((each) => sized(functionCode(each))))),
  ]);
}

function functionCode({ name, parameters, locals, body }: WasmFunction): Code {
  const names = [...parameters, ...Object.keys(locals)];
  const lines = body.split("\n").map((line) => line.replace(/;;.*/, "").trim()).filter((line) => line !== "");
  return [
    ...list(Object.values(locals).map((type) => [1, TYPES[type]])),
    ...lines.flatMap((line) => instruction(line, names, name)),
    0x0b,
  ];
}

function instruction(line: string, locals: readonly string[], inFunction: string): Code {
  const [mnemonic, operand] = line.split(/\s+/) as [string, string | undefined];
  const known = INSTRUCTIONS[mnemonic];
  if (!known) throw new SyntaxError(`Cannot assemble ${inFunction}: no instruction is called ${mnemonic}`);
  const [code, operands] = known;
  const whole = () => {
    const value = Number(operand?.replace("offset=", "") ?? NaN);
    if (Number.isInteger(value)) return value;
    const got = operand ?? "nothing";
    throw new SyntaxError(`Cannot assemble ${inFunction}: ${mnemonic} must be followed by a whole number, got ${got}`);
  };
  switch (operands) {
    case "none":
      return code;
    case "block":
      return [...code, NO_RESULT];
    case "local": {
      const index = locals.indexOf((operand ?? "").replace(/^\$/, ""));
      if (index < 0) throw new SyntaxError(`Cannot assemble ${inFunction}: no local is called ${operand}`);
      return [...code, ...unsigned(index)];
    }
    case "label":
    case "lane":
      return [...code, ...unsigned(whole())];
    case "constant":
      return [...code, ...signed(whole())];
    // No alignment is promised: 0 stands for 2^0 bytes. `offset=n` may follow.
    case "memory":
      return [...code, 0, ...unsigned(operand === undefined ? 0 : whole())];
  }
}

function section(id: number, content: Code): Code {
  return [id, ...sized(content)];
}

function sized(content: Code): Code {
  return [...unsigned(content.length), ...content];
}

function list(items: readonly Code[]): Code {
  return [...unsigned(items.length), ...items.flat()];
}

function text(name: string): Code {
  return sized([...new TextEncoder().encode(name)]);
}

/** LEB128. */
function unsigned(value: number): Code {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(Math.floor(value / 0x80))];
}

/** LEB128, two's complement; doubles hold every constant used here exactly. */
function signed(value: number): Code {
  const low = ((value % 0x80) + 0x80) % 0x80;
  const rest = (value - low) / 0x80;
  const done = (rest === 0 && low < 0x40) || (rest === -1 && low >= 0x40);
  return done ? [low] : [low | 0x80, ...signed(rest)];
}
