/**
 * The least of a SOCKS5 client (RFC 1928 §3–6, RFC 1929): CONNECT to an IPv4 address, with a password or without. The load generators have
 * their own, so that they cost every contestant the same and share no code with what they measure.
 */

import { readFull, type Target, writeAll } from "../protocol/stream.ts";
import { eventually } from "./waiting.ts";

const NO_PASSWORD = 0;
const PASSWORD = 2;

/** Connects to the target through the proxy; `login` is `user:password`. */
export async function dialSocks5(proxy: Target, target: Target, login?: string): Promise<Deno.TcpConn> {
  const connection = await Deno.connect({ hostname: proxy.host, port: proxy.port });
  try {
    connection.setNoDelay();
    await agree(connection, login);
    const address = target.host.split(".").map(Number);
    await writeAll(connection, Uint8Array.of(5, 1, 0, 1, ...address, target.port >> 8, target.port & 0xff));
    await readReply(connection);
    return connection;
  } catch (cause) {
    connection.close();
    throw new Error(`Cannot dial through the proxy on port ${proxy.port}: ${(cause as Error).message}`, { cause });
  }
}

async function agree(connection: Deno.TcpConn, login: string | undefined): Promise<void> {
  const method = login === undefined ? NO_PASSWORD : PASSWORD;
  await writeAll(connection, Uint8Array.of(5, 1, method));
  const answer = new Uint8Array(2);
  if (!await readFull(connection, answer) || answer[1] !== method) throw new Error("the proxy wants another method");
  if (login === undefined) return;
  const [user, password] = login.split(":").map((part) => new TextEncoder().encode(part)) as [Uint8Array, Uint8Array];
  await writeAll(connection, Uint8Array.of(1, user.length, ...user, password.length, ...password));
  if (!await readFull(connection, answer) || answer[1] !== 0) throw new Error("the proxy does not take the password");
}

/** Waits until a target can be reached through the proxy: what lies behind one may find itself in the background. */
export async function untilReachable(proxy: Target, target: Target): Promise<void> {
  await eventually("a stream through the proxy", async () => {
    try {
      (await dialSocks5(proxy, target)).close();
      return true;
    } catch {
      return false;
    }
  });
}

/** The reply's address has the length its type says; it must be read whole, for the stream begins right behind it. */
async function readReply(connection: Deno.TcpConn): Promise<void> {
  const head = new Uint8Array(5);
  if (!await readFull(connection, head)) throw new Error("the proxy closed the connection");
  if (head[1] !== 0) throw new Error(`the proxy answered ${head[1]}`);
  const addressLength = head[3] === 1 ? 4 : head[3] === 4 ? 16 : head[4]! + 1;
  if (!await readFull(connection, new Uint8Array(addressLength + 2 - 1))) throw new Error("the reply was cut short");
}
