import { assertEquals } from "@std/assert";
import type { ServiceReport } from "../../protocol/manager/report.ts";
import type { Deed } from "./asking.ts";
import { judge } from "./deed_outcome.ts";
import { stoppedReport } from "./fixtures/fake_manager.ts";

const NOW_MS = 1_000_000;
const old = NOW_MS - 60_000;
const just = NOW_MS - 100;
const stopped = { ...stoppedReport("kcp"), sinceMs: old };
const running: ServiceReport = { ...stopped, state: "running", pid: 10, startedMs: old };

interface Row {
  readonly deed: Deed;
  readonly before: ServiceReport;
  readonly report: ServiceReport;
  /** Undefined while it is under way. */
  readonly is: readonly [boolean, string] | undefined;
}

const TABLE: Readonly<Record<string, Row>> = {
  "a start under way": {
    deed: "start",
    before: stopped,
    report: { ...stopped, state: "starting", sinceMs: just },
    is: undefined,
  },
  "a start that is done": {
    deed: "start",
    before: stopped,
    report: { ...running, sinceMs: just },
    is: [true, "runs, pid 10"],
  },
  "a start of what runs": { deed: "start", before: running, report: running, is: [true, "runs already"] },
  "a start that will be tried again": {
    deed: "start",
    before: stopped,
    report: { ...stopped, sinceMs: just, reason: "it ended with code 3", nextStartMs: NOW_MS + 5000 },
    is: [false, "did not start: it ended with code 3; it is tried again in 5s"],
  },
  "a start after it was given up that fails as well": {
    deed: "start",
    before: { ...stopped, gaveUp: true },
    report: { ...stopped, gaveUp: true, sinceMs: just, lastExit: "SIGSEGV" },
    is: [false, "did not start: SIGSEGV"],
  },
  "a start that ended in nothing, without a watchdog": {
    deed: "start",
    before: stopped,
    report: { ...stopped, sinceMs: just },
    is: [false, "did not start: nobody says why"],
  },
  "a stop under way": {
    deed: "stop",
    before: running,
    report: { ...running, state: "stopping", sinceMs: just },
    is: undefined,
  },
  "a stop that is done": {
    deed: "stop",
    before: running,
    report: { ...stopped, sinceMs: just, lastExit: "SIGKILL, since it did not heed SIGTERM" },
    is: [true, "is stopped: SIGKILL, since it did not heed SIGTERM"],
  },
  "a stop of what is stopped": { deed: "stop", before: stopped, report: stopped, is: [true, "was stopped already"] },
  "a stop of what was about to start": {
    deed: "stop",
    before: { ...stopped, nextStartMs: NOW_MS },
    report: { ...stopped, lastExit: "SIGSEGV" },
    is: [true, "is stopped"],
  },
  "a restart that has not been seen to": { deed: "restart", before: running, report: running, is: undefined },
  "a restart between stop and start": {
    deed: "restart",
    before: running,
    report: { ...stopped, sinceMs: just, nextStartMs: NOW_MS },
    is: undefined,
  },
  "a restart that is done": {
    deed: "restart",
    before: running,
    report: { ...running, pid: 11, sinceMs: just, startedMs: just },
    is: [true, "runs, pid 11"],
  },
  "a restart that got the same pid": {
    deed: "restart",
    before: running,
    report: { ...running, sinceMs: just, startedMs: just },
    is: [true, "runs, pid 10"],
  },
  "a restart that does not start": {
    deed: "restart",
    before: running,
    report: { ...stopped, sinceMs: just, gaveUp: true, reason: "no such program" },
    is: [false, "did not start: no such program"],
  },
};

for (const [name, { deed, before, report, is }] of Object.entries(TABLE)) {
  Deno.test(`outcome of ${name}`, () => {
    const outcome = judge(deed, before, { report, nowMs: NOW_MS });
    assertEquals(outcome && [outcome.isGood, outcome.text], is && [...is]);
  });
}
