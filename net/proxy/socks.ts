/**
 * SOCKS5, SOCKS4 and SOCKS4a on the proxy port (formats: `protocol/socks.ts`, `protocol/socks4.ts`).
 *
 *   greeting → [password] → request → dial → reply → splice
 *
 * CONNECT and, in SOCKS5, UDP ASSOCIATE; BIND is refused. Success is said only once the far side has connected. SOCKS4
 * has no way to prove who one is, so it is refused where that is asked.
 */

import { dialReplyOf } from "../../protocol/dial_reply.ts";
import { dialFailureOf } from "../../protocol/errors.ts";
import type { Parsed } from "../../protocol/parse.ts";
import {
  encodeMethodChoice,
  encodePasswordStatus,
  encodeReply,
  parseCredentials,
  parseGreeting,
  parseRequest,
  SocksCommand,
  SocksMethod,
  SocksReply,
} from "../../protocol/socks.ts";
import { encodeSocks4Reply, parseSocks4Request, Socks4Command, Socks4Reply } from "../../protocol/socks4.ts";
import { type Stream, type Target, writeAll } from "../../protocol/stream.ts";
import type { Client } from "./client.ts";
import { type ProxyRefusal, socksReplyOf } from "./credentials.ts";
import type { Ingress } from "./ingress.ts";
import { farewell } from "./reply.ts";
import { serveUdpAssociation } from "./socks_udp.ts";

/** What almost every connection is told, made once: to make a few bytes costs a connection some microseconds. */
const SUCCEEDED = encodeReply(SocksReply.succeeded);
const NO_PASSWORD_WANTED = encodeMethodChoice(SocksMethod.none);
const PASSWORD_WANTED = encodeMethodChoice(SocksMethod.password);
const PASSWORD_RIGHT = encodePasswordStatus(true);

/** Gives the Stream to join the client with; undefined when all is done. */
export async function serveSocks5(client: Client, ingress: Ingress): Promise<Stream | undefined> {
  const agreed = await agreeOnMethod(client, ingress);
  if (!agreed) return undefined;
  const parsed = await gather(client, parseRequest);
  if (parsed === undefined) return undefined;
  if (agreed !== "admitted") {
    await farewell(client, ingress, encodeReply(socksReplyOf(agreed)));
    return undefined;
  }
  if (parsed.status === "bad") {
    await farewell(client, ingress, encodeReply(SocksReply.addressUnsupported));
    return undefined;
  }
  const { command, target } = parsed.value;
  switch (command) {
    case SocksCommand.connect:
      return await connect(client, ingress, target, {
        success: SUCCEEDED,
        failure: (error) => encodeReply(dialReplyOf(dialFailureOf(error)).socks5),
      });
    case SocksCommand.udpAssociate:
      await serveUdpAssociation(client, ingress, target);
      return undefined;
    default:
      ingress.count("refusals", "command");
      await farewell(client, ingress, encodeReply(SocksReply.commandUnsupported));
      return undefined;
  }
}

/** As `serveSocks5`. */
export async function serveSocks4(client: Client, ingress: Ingress): Promise<Stream | undefined> {
  const rejected = encodeSocks4Reply(Socks4Reply.rejected);
  const parsed = await gather(client, parseSocks4Request);
  if (parsed === undefined) return undefined;
  if (parsed.status === "bad" || parsed.value.command !== Socks4Command.connect || ingress.check) {
    ingress.count("refusals", ingress.check ? "credentials" : "command");
    await farewell(client, ingress, rejected);
    return undefined;
  }
  return await connect(client, ingress, parsed.value.target, {
    success: encodeSocks4Reply(Socks4Reply.granted),
    failure: (error) => encodeSocks4Reply(dialReplyOf(dialFailureOf(error)).socks4),
  });
}

interface Replies {
  readonly success: Uint8Array;
  failure(error: unknown): Uint8Array;
}

async function connect(
  client: Client,
  ingress: Ingress,
  target: Target,
  replies: Replies,
): Promise<Stream | undefined> {
  ingress.handshakes.delete(client);
  let stream: Stream;
  try {
    stream = await ingress.dial(client, target);
  } catch (error) {
    await farewell(client, ingress, replies.failure(error));
    return undefined;
  }
  await writeAll(client.conn, replies.success);
  return stream;
}

/**
 * Greeting, choice of method, and the password where one is asked for. Undefined when the client was sent away; a refusal
 * when it is known, and is to hear in the reply to its request that it may not.
 */
async function agreeOnMethod(client: Client, ingress: Ingress): Promise<"admitted" | ProxyRefusal | undefined> {
  const greeting = await gather(client, parseGreeting);
  if (greeting?.status !== "done") return undefined;
  const wanted = ingress.check ? SocksMethod.password : SocksMethod.none;
  if (!greeting.value.methods.includes(wanted)) {
    ingress.count("refusals", "method");
    await farewell(client, ingress, encodeMethodChoice(SocksMethod.unacceptable));
    return undefined;
  }
  await writeAll(client.conn, ingress.check ? PASSWORD_WANTED : NO_PASSWORD_WANTED);
  if (!ingress.check) return "admitted";

  const credentials = await gather(client, parseCredentials);
  if (credentials?.status !== "done") return undefined;
  const { user, password } = credentials.value;
  const refusal = await ingress.admit(client, user, password);
  if (refusal?.status === 407) {
    await farewell(client, ingress, encodePasswordStatus(false));
    return undefined;
  }
  await writeAll(client.conn, PASSWORD_RIGHT);
  return refusal ?? "admitted";
}

/** Reads until `parse` is satisfied and marks its bytes as used; undefined when the client ends first. */
async function gather<T>(
  client: Client,
  parse: (bytes: Uint8Array) => Parsed<T>,
): Promise<Exclude<Parsed<T>, { status: "more" }> | undefined> {
  const { inbox } = client;
  for (;;) {
    const parsed = parse(inbox.bytes);
    if (parsed.status === "done") inbox.consume(parsed.length);
    if (parsed.status !== "more") return parsed;
    if (!await inbox.fill()) return undefined;
  }
}
