/**
 * Sockets for datagrams between programs of one machine (unix(7)), by path or by an abstract name: `@name`.
 */

import { CulvertError } from "../protocol/errors.ts";
import { Fd } from "./fd.ts";
import type { Libc } from "./libc.ts";

const AF_UNIX = 1;
/** SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC */
const DATAGRAM_SOCKET = 2 | 0o4000 | 0o2000000;
/** struct sockaddr_un { unsigned short family; char path[108] } */
const PATH_AT = 2;
const MAX_PATH_BYTES = 108;

export function openUnixDatagram(libc: Libc): Fd {
  return new Fd(libc, libc.call.socket(AF_UNIX, DATAGRAM_SOCKET, 0), "open a socket for datagrams", "socket");
}

/** As the kernel takes it: a path ends with a zero, an abstract name begins with one and ends where the address does. */
export function unixAddress(path: string): Uint8Array<ArrayBuffer> {
  const isAbstract = path.startsWith("@");
  const name = new TextEncoder().encode(isAbstract ? `\0${path.slice(1)}` : `${path}\0`);
  if (!isAbstract && !path.startsWith("/") || name.length > MAX_PATH_BYTES) {
    throw new CulvertError(
      "bad_path",
      `Cannot use a Unix socket: its path must begin with / or @ and have at most ${
        MAX_PATH_BYTES - 1
      } bytes, got ${path}`,
    );
  }
  const address = new Uint8Array(PATH_AT + name.length);
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(name, PATH_AT);
  return address;
}
