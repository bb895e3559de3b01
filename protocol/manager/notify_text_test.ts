import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { MAX_STATUS_LENGTH, noticeText, readNotice } from "./notify_text.ts";

Deno.test("what is said is heard", () => {
  const rows = [
    {
      say: { ready: true, status: "listening on 127.0.0.1:1080" },
      text: "READY=1\nSTATUS=listening on 127.0.0.1:1080\n",
    },
    { say: { alive: true }, text: "WATCHDOG=1\n" },
    { say: { stopping: true, alive: true }, text: "STOPPING=1\nWATCHDOG=1\n" },
  ];
  for (const { say, text } of rows) {
    assertEquals(noticeText(say), text);
    assertEquals(readNotice(text), { ready: false, alive: false, stopping: false, ...say });
  }
});

Deno.test("lines that are not known are skipped, whole lines only count, and nothing is nothing", () => {
  for (
    const text of ["", "\n", "READY=0", "READY=10", "XREADY=1", "MAINPID=1\nFDSTORE=1", "ready=1", "WATCHDOG=trigger"]
  ) {
    assertEquals(readNotice(text), undefined, JSON.stringify(text));
  }
  assertEquals(readNotice("MAINPID=7\nREADY=1")?.ready, true);
});

Deno.test("a status is one short printable line, whatever is said", () => {
  assertEquals(readNotice("STATUS=a\x1b[2J\tb\u202e\r\u0000c")?.status, "a [2J b c");
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 400 }), (said) => {
    const status = readNotice(noticeText({ status: said }))!.status!;
    assert(status.length <= MAX_STATUS_LENGTH && status.isWellFormed() && !/\p{Cc}/u.test(status));
    assertEquals(readNotice(noticeText({ status }))!.status, status);
  }));
});
