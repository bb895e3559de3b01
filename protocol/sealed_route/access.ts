/**
 * Who may ask a relay for tickets: those who have the secret of a name that the relay lets in. The secret is made of the
 * relay's own key and the name, so that the relay keeps a key and no list of secrets; a name that is no longer let in gets
 * no ticket from then on.
 *
 *   relay's key + name ─▶ secret (what a client is given) ─▶ id, by which it is found │ key of questions │ key of answers
 *
 * A client has it together with where the relay is, as text: SECRET@host:port, SECRET@host:port,host:port for several that
 * share the key. SECRET is 43 characters of base64url.
 */

import { decodeBase64Url, encodeBase64Url } from "../encoding.ts";
import { type Bytes, KEY_BYTES } from "../primitives.ts";
import { formatTarget, parseTarget, type Target } from "../stream.ts";
import { subkey } from "./epoch_keys.ts";
import { ACCOUNTS } from "./ticket.ts";

export const CLIENT_ID_BYTES = 8;
const MAX_ADDRESSES = 8;
const NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;

/** A relay as whoever goes through it knows it. */
export interface RouteHop {
  readonly secret: Bytes;
  /** Where it is, or others with the same key; at least one. */
  readonly addresses: readonly Target[];
}

export interface ClientKeys {
  readonly id: Bytes;
  readonly question: Bytes;
  readonly answer: Bytes;
}

export interface RouteClient extends ClientKeys {
  readonly name: string;
  readonly account: number;
}

/** Whether that can be the name of a client. */
export function isClientName(text: string): boolean {
  return NAME.test(text);
}

export function clientSecret(relayKey: Uint8Array, name: string): Bytes {
  return subkey(relayKey, `culvert sealed route client v1 ${name}`);
}

export function clientKeys(secret: Uint8Array): ClientKeys {
  return {
    id: subkey(secret, "culvert sealed route id v1").slice(0, CLIENT_ID_BYTES),
    question: subkey(secret, "culvert sealed route question v1"),
    answer: subkey(secret, "culvert sealed route answer v1"),
  };
}

/** The clients of a relay, found by the id that their questions begin with. */
export class RouteClients {
  readonly #byId = new Map<string, RouteClient>();

  constructor(relayKey: Uint8Array, names: readonly string[]) {
    for (const name of names) {
      if (!isClientName(name)) {
        throw new RangeError(`Cannot let a client in: its name must match ${NAME.source}, got ${JSON.stringify(name)}`);
      }
      const keys = clientKeys(clientSecret(relayKey, name));
      const account = (keys.id[0]! << 8 | keys.id[1]!) % ACCOUNTS;
      this.#byId.set(idText(keys.id, 0), { name, account, ...keys });
    }
  }

  get size(): number {
    return this.#byId.size;
  }

  /** The client whose id lies there. */
  find(bytes: Uint8Array, at: number): RouteClient | undefined {
    return this.#byId.get(idText(bytes, at));
  }
}

function idText(bytes: Uint8Array, at: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + CLIENT_ID_BYTES));
}

export function formatRouteHop({ secret, addresses }: RouteHop): string {
  return `${encodeBase64Url(secret)}@${addresses.map(formatTarget).join(",")}`;
}

/** What `formatRouteHop` wrote; undefined when it is not that. */
export function parseRouteHop(text: string): RouteHop | undefined {
  const at = text.indexOf("@");
  const secret = at < 0 ? undefined : decodeBase64Url(text.slice(0, at));
  if (secret?.length !== KEY_BYTES) return undefined;
  const addresses = text.slice(at + 1).split(",", MAX_ADDRESSES + 1).map((each) => parseTarget(each));
  if (addresses.length > MAX_ADDRESSES || addresses.some((each) => each === undefined || each.port === 0)) {
    return undefined;
  }
  return { secret, addresses: addresses as Target[] };
}
