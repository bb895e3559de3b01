/**
 * What URLs of the transports for hostile networks have in common. Unlike others they may name several ports:
 *
 *   kcp+raw://key@server.example:45000-45007/?dialect=culvert&links=2
 *
 *   key    what the far end must hear, percent-encoded where it has characters of its own meaning; or `name:password`
 *   ports  one, or a span of them
 *
 * No message repeats the URL or the key. What the query may say is up to each transport (`query_settings.ts`).
 */

import { CulvertError } from "../protocol/errors.ts";
import { parsePorts, type PortSpan } from "../protocol/port_span.ts";
import { QuerySettings } from "./query_settings.ts";

/** Far above any of ours. */
const MAX_URL_CHARACTERS = 4096;

export class TransportUrl {
  readonly scheme: string;
  readonly key: string | undefined;
  /** A name, or an address without brackets. */
  readonly host: string;
  readonly ports: PortSpan;
  readonly settings: QuerySettings;
  readonly #what: string;
  /** What is before the `@`, as it is written. */
  readonly #written: string | undefined;

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
    this.#written = key === "" ? undefined : key;
    this.key = this.#written === undefined ? undefined : this.#decode(this.#written);
    const span = parsePorts(ports!);
    if (!span) throw this.fail("must have a port, or a span of them such as 45000-45007");
    this.ports = span;
    this.settings = new QuerySettings(query ?? "", (rule) => this.fail(rule));
  }

  /** The key as a name and a password. A `:` within the name is written `%3A`, so each is decoded by itself. */
  get login(): { readonly user: string; readonly password: string } | undefined {
    if (this.#written === undefined) return undefined;
    const [, user, password] = /^([^:]+):(.+)$/.exec(this.#written) ?? [];
    if (user === undefined) throw this.fail("must have name:password before the @");
    return { user: this.#decode(user), password: this.#decode(password!) };
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
