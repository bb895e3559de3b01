/**
 * What URLs of the transports for hostile networks have in common. Unlike others they may name several ports:
 *
 *   kcp+raw://key@server.example:45000-45007/?dialect=culvert&links=2
 *
 *   key    what the far end must hear, percent-encoded where it has characters of its own meaning
 *   ports  one, or a span of them
 *
 * No message repeats the URL or the key. What the query may say is up to each transport, which reads it with `number`,
 * `choice` and `text`; what it does not read is refused by `done`.
 */

import { CulvertError } from "../protocol/errors.ts";
import { parsePorts, type PortSpan } from "../protocol/port_span.ts";

/** Far above any of ours. */
const MAX_URL_CHARACTERS = 4096;

export class TransportUrl {
  readonly scheme: string;
  readonly key: string | undefined;
  /** A name, or an address without brackets. */
  readonly host: string;
  readonly ports: PortSpan;
  readonly #what: string;
  readonly #query: Map<string, string>;
  readonly #known: string[] = [];

  /** Throws a CulvertError `bad_url`. `what` is the transport, as in "Cannot open kcp". */
  constructor(text: string, what: string) {
    this.#what = what;
    const match =
      /^([a-z0-9+]+):\/\/(?:([^@/?#]*)@)?(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]/?#@\s]+)):([\d-]+)\/?(?:\?([^#]*))?$/
        .exec(text.length > MAX_URL_CHARACTERS ? "" : text);
    if (!match) throw this.fail("must look like scheme://key@host:port/?name=value");
    const [, scheme, key, v6, name, ports, query] = match;
    this.scheme = scheme!;
    this.host = (v6 ?? name)!;
    this.key = key === undefined || key === "" ? undefined : this.#decode(key);
    const span = parsePorts(ports!);
    if (!span) throw this.fail("must have a port, or a span of them such as 45000-45007");
    this.ports = span;
    this.#query = new Map();
    for (const [name, value] of new URLSearchParams(query ?? "")) {
      if (this.#query.has(name)) throw this.fail(`must say ${JSON.stringify(name)} once`);
      this.#query.set(name, value);
    }
  }

  /** A whole number from `least` to `most`. */
  number(name: string, { least, most, usual }: { least: number; most: number; usual: number }): number {
    const text = this.text(name);
    if (text === undefined) return usual;
    const value = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
    if (value >= least && value <= most) return value;
    throw this.fail(`must have ${name} between ${least} and ${most}, got ${JSON.stringify(text)}`);
  }

  choice<T extends string>(name: string, choices: readonly T[], usual: T): T {
    const text = this.text(name);
    if (text === undefined) return usual;
    if ((choices as readonly string[]).includes(text)) return text as T;
    throw this.fail(`must have ${name} ${choices.join(" or ")}, got ${JSON.stringify(text)}`);
  }

  flag(name: string): boolean {
    return this.choice(name, ["0", "1"], "0") === "1";
  }

  text(name: string): string | undefined {
    this.#known.push(name);
    return this.#query.get(name);
  }

  /** Throws when the query says what nobody has asked for. */
  done(): void {
    const unknown = [...this.#query.keys()].find((name) => !this.#known.includes(name));
    if (unknown === undefined) return;
    throw this.fail(`may say ${[...new Set(this.#known)].join(", ")} after the "?", got ${JSON.stringify(unknown)}`);
  }

  fail(rule: string): CulvertError {
    return new CulvertError("bad_url", `Cannot open ${this.#what}: the URL ${rule}`);
  }

  #decode(text: string): string {
    try {
      return decodeURIComponent(text);
    } catch {
      throw this.fail("must have a key that can be percent-decoded");
    }
  }
}
