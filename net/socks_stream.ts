/**
 * SOCKS5 over a Stream that is there: as the client that asks for a target, and as the server that is asked. As the
 * server CONNECT only, and nobody has to say who they are. RFC 1928, RFC 1929.
 */

import { dialReplyOf } from "../protocol/dial_reply.ts";
import { DialError, type DialFailure, dialFailureOf } from "../protocol/errors.ts";
import {
  encodeCredentials,
  encodeGreeting,
  encodeMethodChoice,
  encodeReply,
  encodeRequest,
  parseGreeting,
  parseMethodChoice,
  parsePasswordStatus,
  parseReply,
  parseRequest,
  SocksCommand,
  type SocksCredentials,
  SocksMethod,
  SocksReply,
  type SocksRequest,
} from "../protocol/socks.ts";
import { type Stream, type Target, writeAll } from "../protocol/stream.ts";
import { readMessage } from "./read_message.ts";

/** No message of the handshake is longer. */
const SOCKS5 = { language: "SOCKS5", maxBytes: 512 } as const;

export interface SocksServer {
  /** What it is called in errors. */
  readonly name: string;
  /** Who we are, should it ask. */
  readonly credentials?: SocksCredentials | undefined;
}

const BEHIND_THE_TUNNEL: SocksServer = { name: "The SOCKS5 server behind the tunnel" };

/** Has the far end connect to the target; then the stream leads there. Rejects with a DialError that says why not. */
export async function connectSocks5(stream: Stream, target: Target, server = BEHIND_THE_TUNNEL): Promise<void> {
  await askSocks5(stream, { command: SocksCommand.connect, target }, server);
}

/** Has the far end do as asked, and gives the address that it answers with. Rejects with a DialError that says why not. */
export async function askSocks5(
  stream: Stream,
  asked: SocksRequest,
  { name, credentials }: SocksServer,
): Promise<Target> {
  const request = encodeRequest(asked);
  if (!request) throw new DialError("unresolved", "Cannot dial: the host name must be 1 to 255 bytes");
  const methods = credentials ? [SocksMethod.none, SocksMethod.password] : [SocksMethod.none];
  await writeAll(stream, encodeGreeting(methods));
  const method = await readMessage(stream, parseMethodChoice, SOCKS5);
  if (!methods.some((offered) => offered === method)) throw new DialError("unauthorized", `${name} wants a password`);
  if (method === SocksMethod.password) await sayWhoWeAre(stream, credentials!, name);
  await writeAll(stream, request);
  const { reply, bound } = await readMessage(stream, parseReply, SOCKS5);
  if (reply === SocksReply.succeeded) return bound;
  throw new DialError(failureOf(reply), `${name} could not connect: reply ${reply}`);
}

async function sayWhoWeAre(stream: Stream, credentials: SocksCredentials, name: string): Promise<void> {
  const message = encodeCredentials(credentials);
  if (!message) throw new DialError("unauthorized", "Cannot dial: name and password must be at most 255 bytes each");
  await writeAll(stream, message);
  const isAccepted = await readMessage(stream, parsePasswordStatus, SOCKS5);
  if (!isAccepted) throw new DialError("unauthorized", `${name} does not take the password`);
}

/**
 * What a client on the stream asks for, and how to answer it. Undefined: it was no SOCKS5, or asked for what is not done,
 * and was told so.
 */
export async function acceptSocks5(stream: Stream): Promise<SocksAsked | undefined> {
  const { methods } = await readMessage(stream, parseGreeting, SOCKS5);
  const isOpen = methods.includes(SocksMethod.none);
  await writeAll(stream, encodeMethodChoice(isOpen ? SocksMethod.none : SocksMethod.unacceptable));
  if (!isOpen) return undefined;
  const { command, target } = await readMessage(stream, parseRequest, SOCKS5);
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
