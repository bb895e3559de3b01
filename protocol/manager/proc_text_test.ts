import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { assertDecoderSurvives } from "../../testing/fuzz.ts";
import {
  environmentValue,
  isAlive,
  parseCommandLine,
  parseProcStat,
  parseProcStatus,
  parseUptimeMs,
} from "./proc_text.ts";

/** Of a real `sleep`, Linux 6.18. */
const STAT = "10550 (sleep) S 10540 10551 10552 0 -1 4194560 171 0 0 0 7 8 4 5 20 0 3 0 102957 2990080 445 " +
  "18446744073709551615 93926154997760 93926155015689 140733082151312 0 0 0 0 0 0 1 0 0 17 1 0 0 0 0 0 93926155029776 " +
  "93926155031040 93926519980032 140733082155714 140733082155724 140733082155724 140733082157033 0\n";

Deno.test("a stat line is read", () => {
  assertEquals(parseProcStat(STAT), {
    pid: 10550,
    name: "sleep",
    state: "S",
    parentPid: 10540,
    groupId: 10551,
    sessionId: 10552,
    userTicks: 7,
    systemTicks: 8,
    childTicks: 9,
    threads: 3,
    startTicks: 102957,
    residentPages: 445,
  });
});

const names = ["", "a b", "(sd-pam)", ") R 1 1 1", "a)\n1 (b", "))((", "tmux: server"];
for (const name of names) {
  Deno.test(`a process named ${JSON.stringify(name)} cannot pass for another`, () => {
    assertEquals(parseProcStat(STAT.replace("sleep", name)), { ...parseProcStat(STAT)!, name });
  });
}

const broken: Readonly<Record<string, string>> = {
  "nothing": "",
  "no name": "10550 S 1 2 3",
  "cut off before its start": STAT.slice(0, STAT.indexOf("102957")),
  "no number": STAT.replace("10550", "x"),
  "no pid": STAT.replace("10550", "0"),
  "a state of two letters": STAT.replace(" S ", " SS "),
  "a start that is no number": STAT.replace("102957", "1e999"),
};
for (const [name, text] of Object.entries(broken)) {
  Deno.test(`a stat line with ${name} is none`, () => assertEquals(parseProcStat(text), undefined));
}

Deno.test("one that has ended is not alive, and a stopped one is", () => {
  const alive = (state: string) => isAlive(parseProcStat(STAT.replace(" S ", ` ${state} `)));
  assertEquals(["R", "S", "D", "T", "Z", "X"].filter(alive), ["R", "S", "D", "T"]);
  assertEquals(isAlive(undefined), false);
});

Deno.test("a status is read, with memory where the process has any", () => {
  const status = "Name:\tsh\nUmask:\t0022\nUid:\t1000\t33\t0\t33\nGid:\t0\t0\t0\t0\nVmRSS:\t    1780 kB\nThreads:\t4\n";
  assertEquals(parseProcStatus(status), { uid: 33, threads: 4, residentBytes: 1780 * 1024 });
  assertEquals(parseProcStatus(status.replace(/VmRSS.*\n/, "")), { uid: 33, threads: 4 });
  assertEquals(parseProcStatus("Name:\tUid:\t0\t0\t0\t0\n"), undefined);
});

Deno.test("environments and command lines are split at their zeros", () => {
  assertEquals(environmentValue("A=1\0B=2=3\0C=\0", "B"), "2=3");
  assertEquals(environmentValue("A=1\0B=2=3\0C=\0", "C"), "");
  assertEquals(environmentValue("AB=1\0", "B"), undefined);
  assertEquals(parseCommandLine("sh\0-c\0\0"), ["sh", "-c", ""]);
  assertEquals(parseCommandLine(""), []);
});

Deno.test("the machine's uptime is read in milliseconds", () => {
  assertEquals(parseUptimeMs("1029.57 1993.01\n"), 1_029_570);
  assertEquals(parseUptimeMs("soon"), undefined);
});

Deno.test("no text breaks the parsers", () => {
  assertDecoderSurvives((bytes) => {
    const text = new TextDecoder().decode(bytes);
    parseProcStatus(text);
    return parseProcStat(text);
  }, { valid: fc.constant(new TextEncoder().encode(STAT)) });
});
