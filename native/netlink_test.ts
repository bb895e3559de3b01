/** The socket against a kernel that answers by the book, since the real one cannot be made to interrupt a list. */

import { assertEquals, assertThrows } from "@std/assert";
import { NetlinkWriter, NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR } from "../protocol/netlink.ts";
import type { Bytes } from "../protocol/primitives.ts";
import { Errno, SysError } from "./errno.ts";
import type { Libc } from "./libc.ts";
import { NETLINK_ROUTE, NetlinkSocket } from "./netlink.ts";

const LINK = 16;
const FLAG_MULTI = 2;
const FLAGS_IN_WORDS = 0x300;

/** A message of the kernel; its sequence is filled in when it is read. */
type Answer = { readonly message: Bytes; readonly isStale?: boolean };

function answer(type: number, flags: number, ...words: readonly number[]): Answer {
  const writer = new NetlinkWriter(type, flags);
  for (const word of words) writer.rawU32(word);
  return { message: writer.finish() };
}

const link = answer(LINK, FLAG_MULTI, 7);
const done = answer(NLMSG_DONE, FLAG_MULTI, 0);
const interrupted = answer(NLMSG_DONE, FLAG_MULTI | NLM_F_DUMP_INTR, 0);

/** A C library whose reads give these answers one by one, then fail as a read that timed out. */
function scriptedLibc(answers: readonly Answer[]): Libc & { readonly sent: number[] } {
  const sent: number[] = [];
  const rest = [...answers];
  const call = {
    socket: () => 3,
    close: () => 0,
    connect: () => 0,
    setsockopt: () => 0,
    send(_fd: number, message: Bytes) {
      sent.push(new DataView(message.buffer).getUint32(8, true));
      return message.length;
    },
    recv(_fd: number, into: Bytes) {
      const next = rest.shift();
      if (!next) return -1;
      into.set(next.message);
      new DataView(into.buffer).setUint32(8, next.isStale ? sent.at(-1)! - 1 : sent.at(-1)!, true);
      return next.message.length;
    },
  };
  const errno = () => Errno.EAGAIN;
  const error = (action: string, syscall: string) => new SysError(action, syscall, errno());
  return { call, sent, errno, error, [Symbol.dispose]() {} } as unknown as Libc & { readonly sent: number[] };
}

function request(answers: readonly Answer[]): { types: number[]; sent: number[] } {
  const libc = scriptedLibc(answers);
  using socket = new NetlinkSocket(libc, NETLINK_ROUTE);
  const types = socket.request("list links", new NetlinkWriter(18, 0).finish()).map((message) => message.type);
  return { types, sent: libc.sent };
}

Deno.test("a list is read to its end", () => {
  assertEquals(request([link, link, done]), { types: [LINK, LINK], sent: [1] });
});

Deno.test("a list that changed while it was read is read again", () => {
  const changedEarlier = answer(LINK, FLAG_MULTI | NLM_F_DUMP_INTR, 7);
  assertEquals(request([link, interrupted, changedEarlier, done, link, link, done]), {
    types: [LINK, LINK],
    sent: [1, 2, 3],
  });
});

Deno.test("a list that never holds still is given up", () => {
  assertThrows(() => request(Array(20).fill(interrupted)), Error, "Cannot list links: the list changed");
});

Deno.test("an answer to an earlier request is passed over", () => {
  assertEquals(request([{ ...link, isStale: true }, { ...done, isStale: true }, done]).types, []);
});

Deno.test("a refusal is thrown with the kernel's words, at the end of a list as well", () => {
  const refusal = new NetlinkWriter(NLMSG_ERROR, FLAGS_IN_WORDS).rawU32(-Errno.EINVAL).rawU32(36).rawU32(0).rawU32(0)
    .rawU32(0).text(1, "No such thing");
  const error = assertThrows(() => request([{ message: refusal.finish() }]), SysError);
  assertEquals([error.errno, error.message], [
    Errno.EINVAL,
    "Cannot list links: netlink gave EINVAL (No such thing)",
  ]);
  const ended = assertThrows(() => request([link, answer(NLMSG_DONE, FLAG_MULTI, -Errno.ENODEV)]), SysError);
  assertEquals(ended.errno, Errno.ENODEV);
});

Deno.test("a kernel that does not answer is an error, not a wait without end", () => {
  assertEquals(assertThrows(() => request([link]), SysError).message, "Cannot list links: recv gave EAGAIN");
});
