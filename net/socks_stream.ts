/**
 * SOCKS5 over a Stream that is there: as the client that asks for a target, and as the server that is asked. CONNECT only,
 * and nobody has to say who they are. RFC 1928.
 */

import { dialReplyOf } from "../protocol/dial_reply.ts";
import { DialError, type DialFailure, dialFailureOf } from "../protocol/errors.ts";
import type { Parsed } from "../protocol/parse.ts";
import {
  encodeGreeting,
  encodeMethodChoice,
  encodeReply,
  encodeRequest,
  parseGreeting,
  parseMethodChoice,
  parseReply,
  parseRequest,
  SocksCommand,
  SocksMethod,
  SocksReply,
} from "../protocol/socks.ts";
import { type Stream, type Target, writeAll } from "../protocol/stream.ts";

/** No message of the handshake is longer. */
const MAX_MESSAGE_BYTES = 512;

/** Has the far end connect to the target; then the stream leads there. Rejects with a DialError that says why not. */
export async function connectSocks5(stream: Stream, target: Target): Promise<void> {
  const request = encodeRequest({ command: SocksCommand.connect, target });
  if (!request) throw new DialError("unresolved", "Cannot dial: the host name must be 1 to 255 bytes");
  await writeAll(stream, encodeGreeting([SocksMethod.none]));
  const method = await readMessage(stream, parseMethodChoice);
  if (method !== SocksMethod.none) {
    throw new DialError("unauthorized", "The SOCKS5 server behind the tunnel wants a password");
  }
  await writeAll(stream, request);
  const { reply } = await readMessage(stream, parseReply);
  if (reply === SocksReply.succeeded) return;
  throw new DialError(failureOf(reply), `The SOCKS5 server behind the tunnel could not connect: reply ${reply}`);
}

/**
 * What a client on the stream asks for, and how to answer it. Undefined: it was no SOCKS5, or asked for what is not done,
 * and was told so.
 */
export async function acceptSocks5(stream: Stream): Promise<SocksAsked | undefined> {
  const { methods } = await readMessage(stream, parseGreeting);
  const isOpen = methods.includes(SocksMethod.none);
  await writeAll(stream, encodeMethodChoice(isOpen ? SocksMethod.none : SocksMethod.unacceptable));
  if (!isOpen) return undefined;
  const { command, target } = await readMessage(stream, parseRequest);
  if (command !== SocksCommand.connect) {
    await writeAll(stream, encodeReply(SocksReply.commandUnsupported));
    return undefined;
  }
  return {
    target,
    accept: () => writeAll(stream, encodeReply(SocksReply.succeeded)),
    refuse: (error) => writeAll(stream, encodeReply(dialReplyOf(dialFailureOf(error)).socks5)),
  };
}

export interface SocksAsked {
  readonly target: Target;
  accept(): Promise<void>;
  refuse(error: unknown): Promise<void>;
}

const failures: Readonly<Record<number, DialFailure>> = {
  [SocksReply.denied]: "denied",
  [SocksReply.networkUnreachable]: "network_unreachable",
  [SocksReply.hostUnreachable]: "host_unreachable",
  [SocksReply.refused]: "refused",
  [SocksReply.ttlExpired]: "timeout",
  [SocksReply.commandUnsupported]: "unsupported",
  [SocksReply.addressUnsupported]: "unsupported",
};

function failureOf(reply: number): DialFailure {
  return failures[reply] ?? "failed";
}

/** Byte by byte, so that nothing of what follows is taken: these messages are short and come once. */
async function readMessage<T>(stream: Stream, parse: (bytes: Uint8Array) => Parsed<T>): Promise<T> {
  const held = new Uint8Array(MAX_MESSAGE_BYTES);
  for (let filled = 0; filled < held.length;) {
    const count = await stream.read(held.subarray(filled, filled + 1));
    if (count === null) throw new DialError("failed", "The stream ended in the middle of SOCKS5");
    filled += count;
    const parsed = parse(held.subarray(0, filled));
    if (parsed.status === "done") return parsed.value;
    if (parsed.status === "bad") throw new DialError("failed", `The far end does not speak SOCKS5: ${parsed.reason}`);
  }
  throw new DialError("failed", "The far end does not speak SOCKS5: its message does not end");
}
