import { assert, assertEquals, assertNotEquals } from "@std/assert";
import fc from "fast-check";
import { assertDecoderSurvives } from "../../testing/fuzz.ts";
import { commandHashOf, formatPidFile, MAX_PID_FILE_BYTES, parsePidFile, type PidIdentity } from "./pid_file.ts";
import { plainService } from "./fixtures/plain_service.ts";

const identity: PidIdentity = {
  startTicks: 91234,
  bootId: "b2f76aed-b2cf-4af6-b848-7cd847301bc6",
  commandHash: "0123456789abcdef",
};
const WHOLE = formatPidFile(4711, identity);

Deno.test("what is written is read again, and its first line is the bare number", () => {
  assertEquals(parsePidFile(WHOLE), { pid: 4711, identity });
  assertEquals(WHOLE.split("\n")[0], "4711");
  assert(formatPidFile(4_194_304, { ...identity, startTicks: 10 ** 15 - 1 }).length < MAX_PID_FILE_BYTES);
});

Deno.test("a number alone, as others write it, names no process for sure", () => {
  assertEquals(parsePidFile("4711\n"), { pid: 4711 });
  assertEquals(parsePidFile("4711"), { pid: 4711 });
});

Deno.test("a file that was cut off anywhere is never taken for a whole one", () => {
  for (let length = 0; length < WHOLE.length; length++) {
    assertEquals(parsePidFile(WHOLE.slice(0, length))?.identity, undefined, `${length} characters`);
  }
});

const others = ["", "\n", " ", "abc", "-1", "0", "007", "1.5", "12 34", "99999999", "4711\r\n", "4711\n\n", " 4711"];
for (const text of [...others, WHOLE + "x", "4711\n1 2 3\n", "1".repeat(1000)]) {
  Deno.test(`${JSON.stringify(text.slice(0, 20))} is no pid file`, () => assertEquals(parsePidFile(text), undefined));
}

Deno.test("no text breaks the parser", () => {
  assertDecoderSurvives((bytes) => parsePidFile(new TextDecoder().decode(bytes)), {
    valid: fc.constant(new TextEncoder().encode(WHOLE)),
  });
});

Deno.test("the hash changes with all that a process is started with, and with nothing else", () => {
  const service = plainService("a", ["/bin/true", "x"]);
  const hash = commandHashOf(service);
  assertEquals(commandHashOf({ ...service, description: "other", enabled: false }), hash);
  const one = { ...service, environment: { A: "1", B: "2" } };
  assertEquals(commandHashOf({ ...service, environment: { B: "2", A: "1" } }), commandHashOf(one));
  const changed = [
    { ...service, command: ["/bin/true", "y"] as const },
    { ...service, command: ["/bin/true x"] as const },
    { ...service, user: "nobody" },
    { ...service, directory: "/" },
    { ...service, notifies: true },
    { ...service, limits: { ...service.limits, openFiles: 10 } },
    one,
  ];
  for (const other of changed) assertNotEquals(commandHashOf(other), hash);
});
