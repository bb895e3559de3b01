import { assertEquals } from "@std/assert";
import { noticeOf, Notices } from "./notices.ts";

Deno.test("who begins to listen hears the newest of the past, and no more of it than is kept", () => {
  const notices = new Notices();
  for (let at = 0; at < 150; at++) notices.post({ atMs: at, kind: "notice", text: String(at) });
  const heard: string[] = [];
  const listening = notices.listen(({ text }) => heard.push(text));
  assertEquals([heard.length, heard[0], heard.at(-1)], [100, "50", "149"]);
  notices.post({ atMs: 150, kind: "notice", text: "now" });
  listening[Symbol.dispose]();
  notices.post({ atMs: 151, kind: "notice", text: "later" });
  assertEquals(heard.at(-1), "now");
});

Deno.test("what the terminal is told of a killed part is one line of the log, with the way before and now", () => {
  const killed = noticeOf({ event: "killed", before: ["client", "exit-1"] }, [
    "exit-1 is killed; streams went through it.",
    "  before  client > exit-1",
  ], 1);
  assertEquals([killed.text, killed.isBad], [
    "exit-1 is killed; streams went through it. Before: client > exit-1",
    true,
  ]);
  const lines = ["  now     client > exit-2", "  The next stream came through within 2 ms."];
  const { text, isBad, tone } = noticeOf({ event: "recovered", after: ["client", "exit-2"] }, lines, 2);
  assertEquals([text, isBad, tone], ["The next stream came through within 2 ms. Now: client > exit-2", false, "good"]);
});
