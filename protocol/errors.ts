/**
 * The errors callers may catch. `code` is stable and for programs; the message is for people and reads
 * "Cannot <verb>: <what> must be <rule>, got <value>". Hostile input on a hot path is not an error: parsers there
 * return `undefined` or a result. Design §7.
 */

export class CulvertError extends Error {
  /** The name of the class, as errors print it. */
  override readonly name: string = "CulvertError";
  /** What a program tells them apart by; it does not change. */
  readonly code: string;

  /** `message` says what cannot be done, and why. */
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/**
 * Why a dial failed. The same few reasons travel as a SOCKS reply, an HTTP status and a tunnel status, so that a
 * program learns the truth however many hops away it happened.
 */
export type DialFailure =
  | "failed" // anything not below
  | "denied" // a policy forbids it
  | "unresolved" // the name has no address
  | "network_unreachable"
  | "host_unreachable"
  | "refused" // the host answered: nothing listens there
  | "timeout"
  | "unsupported" // this Path cannot do that (no UDP, no such address type)
  | "busy" // a limit is reached; trying later may help
  | "unauthorized" // the far side does not know us
  | "path_down" // no link to the far side at present
  | "unpaid"; // the account has no money for it

/** A dial that failed, told apart by what the failure means. */
export class DialError extends CulvertError {
  /** The name of the class, as errors print it. */
  override readonly name = "DialError";
  /** What the failure means. */
  declare readonly code: DialFailure;
  /** Whether the message may be shown to whoever asked: it names nothing of the way, and nobody's host. */
  readonly isForAll: boolean;

  /** `isForAll`: it would fail by any other way too. */
  constructor(code: DialFailure, message: string, options?: ErrorOptions & { readonly isForAll?: boolean }) {
    super(code, message, options);
    this.isForAll = options?.isForAll ?? false;
  }
}

/** The dial failure that an error of any kind amounts to. */
export function dialFailureOf(error: unknown): DialFailure {
  if (error instanceof DialError) return error.code;
  if (error instanceof CulvertError && error.code === "timeout") return "timeout";
  return "failed";
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
