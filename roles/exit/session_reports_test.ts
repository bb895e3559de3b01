import { assertEquals } from "@std/assert";
import type { ControlStream, Question } from "../../net/control.ts";
import { DialError } from "../../protocol/errors.ts";
import { silentLog } from "../../protocol/log.ts";
import type { ServedSessionRecord } from "../../protocol/session.ts";
import { FakeClock, settle } from "../../testing/fake_clock.ts";
import { SessionReports, type SessionReportsOptions } from "./session_reports.ts";

/** An exit's sessions, and a supernode that knows some of them. */
class Rig {
  readonly clock = new FakeClock();
  readonly served = new Map<string, ServedSessionRecord>();
  readonly asked: Question[] = [];
  supernodeId = "north";
  isOpen = true;
  known: string[] = [];
  /** How often it will not say what it knows. */
  refusals = 0;
  /** What it says to the end of a session. */
  says: () => void = () => {};
  readonly reports = new SessionReports({
    server: {
      remove: (sessionId: string) => this.served.delete(sessionId),
      expiryOf: (sessionId: string) => this.served.get(sessionId)?.expiresAtMs,
    },
    store: {
      load: () => Promise.resolve([...this.served.values()]),
      remove: (sessionId) => Promise.resolve(void this.served.delete(sessionId)),
      save: () => Promise.resolve(),
    },
    control: () => this.#control,
    clock: this.clock,
    log: silentLog,
  });

  get #control(): ReturnType<SessionReportsOptions["control"]> {
    const { isOpen, supernodeId } = this;
    const answer = (question: Question) => {
      this.asked.push(question);
      if (question.what !== "sessions") return this.says();
      if (this.refusals-- > 0) throw new DialError("busy", "unavailable");
      return { sessionIds: question.sessionIds!.filter((id) => this.known.includes(id)) };
    };
    // The answer's type depends on the question's.
    const request = ((question: Question) => Promise.try(() => answer(question))) as ControlStream["request"];
    return { isOpen, supernode: { supernodeId, url: "" }, request };
  }

  serve(sessionId: string, supernodeId = "north"): void {
    this.served.set(sessionId, { sessionId, clientKey: "", expiresAtMs: 1, supernodeId });
  }
}

Deno.test("a session that the supernode does not know is served no longer", async () => {
  const rig = new Rig();
  rig.serve("known");
  rig.serve("unknown");
  rig.known = ["known"];
  rig.reports.opened();
  await settle();
  assertEquals([...rig.served.keys()], ["known"]);
  await rig.reports[Symbol.asyncDispose]();
});

Deno.test("sessions are compared again while the stream stays open, also when that was in vain before", async () => {
  const rig = new Rig();
  rig.serve("lost");
  rig.known = ["lost"];
  rig.refusals = 1;
  rig.reports.opened();
  await rig.clock.advanceAsync(120_000);
  assertEquals([rig.asked.length, rig.served.size], [2, 1]);
  rig.known = [];
  await rig.clock.advanceAsync(120_000);
  assertEquals([rig.asked.length, rig.served.size], [3, 0]);
  await rig.reports[Symbol.asyncDispose]();
  assertEquals(rig.clock.pendingTimers, 0);
});

Deno.test("a stream that opens again is compared on once, not twice", async () => {
  const rig = new Rig();
  rig.serve("known");
  rig.known = ["known"];
  rig.reports.opened();
  rig.reports.opened();
  await rig.clock.advanceAsync(120_000);
  assertEquals(rig.asked.length, 3);
  await rig.reports[Symbol.asyncDispose]();
});

Deno.test("sessions that another supernode has ordered have a minute for their streams", async () => {
  const rig = new Rig();
  rig.serve("left", "south");
  rig.reports.opened();
  await rig.clock.advanceAsync(59_000);
  assertEquals([rig.asked, rig.served.size], [[], 1]);
  await rig.clock.advanceAsync(1_000);
  assertEquals(rig.served.size, 0);
  await rig.reports[Symbol.asyncDispose]();
});

Deno.test("the end of a session is told until it has been heard, and not twice", async () => {
  const rig = new Rig();
  rig.isOpen = false;
  rig.reports.ended("one", "expired");
  await settle();
  assertEquals(rig.asked, []);
  rig.isOpen = true;
  rig.says = () => {
    throw new DialError("path_down", "lost");
  };
  rig.reports.opened();
  await settle();
  rig.says = () => {
    throw new DialError("unauthorized", "unknown_session");
  };
  rig.reports.opened();
  await rig.clock.advanceAsync(5_000);
  rig.reports.opened();
  await rig.clock.advanceAsync(5_000);
  const ends = rig.asked.filter(({ what }) => what === "end_session");
  assertEquals(ends, Array(2).fill({ what: "end_session", sessionId: "one", reason: "expired" }));
  await rig.reports[Symbol.asyncDispose]();
  assertEquals(rig.clock.pendingTimers, 0);
});

Deno.test("a supernode that cannot take the word of an end now is told again while the stream stays open", async () => {
  const rig = new Rig();
  rig.reports.opened();
  rig.says = () => {
    throw new DialError("busy", "unavailable");
  };
  rig.reports.ended("one", "shutdown");
  await settle();
  rig.says = () => {};
  await rig.clock.advanceAsync(60_000);
  assertEquals(rig.asked.length, 2);
  await rig.reports[Symbol.asyncDispose]();
});

Deno.test("a session that ends before there is a control stream is told of once there is one", async () => {
  const rig = new Rig();
  rig.reports.ended("one", "expired");
  await settle();
  assertEquals(rig.asked, []);
  rig.reports.opened();
  await settle();
  assertEquals(rig.asked, [{ what: "end_session", sessionId: "one", reason: "expired" }]);
  await rig.reports[Symbol.asyncDispose]();
});
