/**
 * An assembler for the little WebAssembly we need: instructions are functions that give their bytes, and nest as the
 * expressions they are.
 *
 *   store(local(to), xor(load(local(a)), load(local(b))))
 *
 * It knows the instructions that `simd_engine.ts` uses and no others, checks nothing (the host does that when it
 * compiles), and makes modules of one function and one memory.
 * Spec: WebAssembly Core 2.0 §5 (binary format), §5.4.8 (vector instructions).
 */

/** Instructions that leave one value on the stack, or none. */
export type Code = readonly number[];

export const I32 = 0x7f;
export const V128 = 0x7b;

export interface WasmFunction {
  readonly name: string;
  readonly parameters: readonly number[];
  readonly locals: readonly number[];
  readonly body: readonly Code[];
}

/** A module that exports the function under its name, and `memory` of that many pages of 64 KiB. */
export function assemble(
  { name, parameters, locals, body }: WasmFunction,
  memoryPages: number,
): Uint8Array<ArrayBuffer> {
  const declared = list(locals.map((type) => [1, type]));
  const code = [...declared, ...body.flat(), END];
  return new Uint8Array([
    ...[0x00, 0x61, 0x73, 0x6d], // "\0asm"
    ...[0x01, 0x00, 0x00, 0x00], // version 1
    ...section(1, [[0x60, ...list(parameters.map((type) => [type])), ...list([])]]),
    ...section(3, [[0]]), // function 0 is of type 0
    ...section(5, [[0x01, ...unsigned(memoryPages), ...unsigned(memoryPages)]]),
    ...section(7, [[...text(name), 0x00, 0], [...text("memory"), 0x02, 0]]),
    ...section(10, [[...unsigned(code.length), ...code]]),
  ]);
}

const END = 0x0b;

function section(id: number, entries: readonly Code[]): Code {
  const content = list(entries);
  return [id, ...unsigned(content.length), ...content];
}

function list(entries: readonly Code[]): Code {
  return [...unsigned(entries.length), ...entries.flat()];
}

function text(ascii: string): Code {
  return list(Array.from(ascii, (letter) => [letter.charCodeAt(0)]));
}

/** LEB128. */
function unsigned(value: number): Code {
  return value < 0x80 ? [value] : [value & 0x7f | 0x80, ...unsigned(value >>> 7)];
}

function signed(value: number): Code {
  return value >= -0x40 && value < 0x40 ? [value & 0x7f] : [value & 0x7f | 0x80, ...signed(value >> 7)];
}

export function local(index: number): Code {
  return [0x20, ...unsigned(index)];
}

export function setLocal(index: number, value: Code): Code {
  return [...value, 0x21, ...unsigned(index)];
}

/** Repeats the instructions while `condition`, which is looked at behind them, is not 0. */
export function repeatWhile(condition: Code, body: readonly Code[]): Code {
  const LOOP_WITHOUT_RESULT = [0x03, 0x40];
  const BRANCH_IF_TO_IT = [0x0d, 0];
  return [...LOOP_WITHOUT_RESULT, ...body.flat(), ...condition, ...BRANCH_IF_TO_IT, END];
}

export const i32 = {
  constant: (value: number): Code => [0x41, ...signed(value)],
  add: (a: Code, b: Code): Code => [...a, ...b, 0x6a],
  shiftLeft: (a: Code, bits: Code): Code => [...a, ...bits, 0x74],
  isBelow: (a: Code, b: Code): Code => [...a, ...b, 0x49], // unsigned
  loadByte: (address: Code): Code => [...address, 0x2d, 0, 0], // unsigned
};

/** Vectors of 16 bytes. Addresses may be any; an offset, known beforehand, is added to them. */
export const v128 = {
  load: (address: Code, offset = 0): Code => [...address, 0xfd, 0, 0, ...unsigned(offset)],
  store: (address: Code, offset: number, value: Code): Code => [...address, ...value, 0xfd, 11, 0, ...unsigned(offset)],
  zero: (): Code => v128.splat(i32.constant(0)),
  /** All 16 bytes the same. */
  splat: (byte: Code): Code => [...byte, 0xfd, 15],
  and: (a: Code, b: Code): Code => [...a, ...b, 0xfd, 78],
  xor: (a: Code, b: Code): Code => [...a, ...b, 0xfd, 81],
  /** Byte i of the answer is the byte of `table` at what byte i of `indices` says. */
  swizzle: (table: Code, indices: Code): Code => [...table, ...indices, 0xfd, 14],
  /** Shifts each pair of bytes, a little-endian number, to the right. */
  shiftPairsRight: (a: Code, bits: number): Code => [...a, ...i32.constant(bits), 0xfd, ...unsigned(141)],
};
