/**
 * What a file says of addresses: one network on a line, and what is thought of it. Needs no network of its own.
 *
 *   203.0.113.0/24  hosting          # a data centre; its risk is not said
 *   198.51.100.0/24 0.9              # bad, from 0 to 1
 *   198.51.100.7    0 home           # one address of it is not, and somebody lives there
 *   2001:db8::/32   hosting 0.6
 *
 * The longest prefix that holds an address decides. Of addresses that are in no line nothing is known. Kept in memory by
 * the length of prefixes, so that a look is one question for each length that there is.
 */

import { CulvertError, messageOf } from "../../../protocol/errors.ts";
import { type Cidr, formatIp, hostCidr, type IpAddress, networkOf, parseCidr, parseIp } from "../../../protocol/ip.ts";
import { type AddressRisk, type IpQualityProvider, UNKNOWN_RISK } from "./ip_quality.ts";

/** Lists of data centres have some ten thousand lines. */
const MAX_FILE_BYTES = 64 * 1024 * 1024;
const MAX_PROBLEMS = 5;

/** By family and length, then by the network's address. */
type Networks = Map<number, Map<string, AddressRisk>>;

export class RangeList implements IpQualityProvider {
  readonly name = "ranges";
  readonly size: number;
  readonly #families: Readonly<Record<4 | 16, Networks>>;
  /** Longest first. */
  readonly #lengths: Readonly<Record<4 | 16, readonly number[]>>;

  /** Throws `bad_file` with the lines that are wrong. `name` is what to call the text. */
  constructor(text: string, name: string) {
    const families: Record<4 | 16, Networks> = { 4: new Map(), 16: new Map() };
    const problems: string[] = [];
    let size = 0;
    for (const [at, line] of text.split("\n").entries()) {
      const words = line.replace(/#.*/s, "").trim();
      if (words === "") continue;
      const row = parseRow(words);
      if (row) {
        add(families[row.network.address.length as 4 | 16], row);
        size++;
      } else if (problems.length < MAX_PROBLEMS) {
        problems.push(`line ${at + 1} must be a network and "hosting", "home" or a number from 0 to 1`);
      }
    }
    if (problems.length > 0) throw new CulvertError("bad_file", `Cannot read ${name}: ${problems.join("; ")}`);
    this.size = size;
    this.#families = families;
    this.#lengths = { 4: longestFirst(families[4]), 16: longestFirst(families[16]) };
  }

  static async load(path: string): Promise<RangeList> {
    try {
      const { size } = await Deno.stat(path);
      if (size > MAX_FILE_BYTES) throw new Error(`it must be at most ${MAX_FILE_BYTES} bytes, got ${size}`);
      return new RangeList(await Deno.readTextFile(path), path);
    } catch (cause) {
      if (cause instanceof CulvertError) throw cause;
      throw new CulvertError("bad_file", `Cannot read ${path}: ${messageOf(cause)}`, { cause });
    }
  }

  look(address: IpAddress): Promise<AddressRisk> {
    const family = address.length as 4 | 16;
    for (const bits of this.#lengths[family]) {
      const found = this.#families[family].get(bits)!.get(formatIp(networkOf(address, bits)!.address));
      if (found) return Promise.resolve(found);
    }
    return Promise.resolve(UNKNOWN_RISK);
  }
}

interface Row {
  readonly network: Cidr;
  readonly said: AddressRisk;
}

function parseRow(words: string): Row | undefined {
  const [range = "", ...sayings] = words.split(/\s+/);
  const address = parseIp(range);
  const network = address ? hostCidr(address) : parseCidr(range);
  if (!network || sayings.length === 0) return undefined;
  let risk: number | undefined;
  let isHosting: boolean | undefined;
  for (const saying of sayings) {
    const isNumber = /^(0(\.\d+)?|1(\.0+)?)$/.test(saying);
    if (isNumber && risk === undefined) risk = Number(saying);
    else if ((saying === "hosting" || saying === "home") && isHosting === undefined) isHosting = saying === "hosting";
    else return undefined;
  }
  return { network, said: { risk, isHosting } };
}

function add(networks: Networks, { network: { address, bits }, said }: Row): void {
  let ofLength = networks.get(bits);
  if (!ofLength) networks.set(bits, ofLength = new Map());
  ofLength.set(formatIp(networkOf(address, bits)!.address), said);
}

function longestFirst(networks: Networks): readonly number[] {
  return [...networks.keys()].sort((a, b) => b - a);
}
