import { assertEquals, assertStrictEquals } from "@std/assert";
import { CulvertError, DialError } from "../protocol/errors.ts";
import { dialErrorOf } from "./dial_error.ts";

const table: [name: string, error: unknown, code: string][] = [
  ["a closed port", systemError("ECONNREFUSED"), "refused"],
  ["an unreachable route", systemError("EHOSTUNREACH"), "host_unreachable"],
  ["a blackhole route", systemError("EINVAL"), "host_unreachable"],
  ["no route", systemError("ENETUNREACH"), "network_unreachable"],
  ["a family this machine lacks", systemError("EADDRNOTAVAIL"), "network_unreachable"],
  ["the kernel's own timeout", systemError("ETIMEDOUT"), "timeout"],
  ["a prohibit route", systemError("EACCES"), "denied"],
  ["no descriptors left", systemError("EMFILE"), "busy"],
  ["a missing permission", new Deno.errors.NotCapable("net"), "denied"],
  ["a deadline", new CulvertError("timeout", "late"), "timeout"],
  ["anything else", new Error("odd"), "failed"],
  ["what is no error at all", undefined, "failed"],
];

function systemError(code: string): Error {
  return Object.assign(new Error(`${code} (os error)`), { code });
}

for (const [name, error, code] of table) {
  Deno.test(`${name} is told as ${code}`, () => assertEquals(dialErrorOf(error).code, code));
}

Deno.test("a DialError is passed on as it is", () => {
  const error = new DialError("busy", "full");
  assertStrictEquals(dialErrorOf(error), error);
});
