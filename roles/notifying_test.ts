import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { openLibc } from "../native/libc.ts";
import { NotifySockets } from "../native/notify_socket.ts";
import { clockOf } from "../protocol/clock.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { LogCollector } from "../testing/log_collector.ts";
import { listenAddress, Program } from "../testing/program.ts";
import { testWith } from "../testing/requirements.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { Changes, within } from "../testing/waiting.ts";
import { Notifying, openNotifying, type Voice } from "./notifying.ts";

/** Keeps what is said while somebody is there. */
class FakeVoice implements Voice {
  readonly said: string[] = [];
  isHeard = true;

  send(text: string): boolean {
    if (this.isHeard) this.said.push(text);
    return this.isHeard;
  }

  [Symbol.dispose](): void {}
}

function rig(variables: Readonly<Record<string, string>> = {}) {
  const [clock, voice, stop, log] = [new FakeClock(), new FakeVoice(), new AbortController(), new LogCollector()];
  const options = { env: (name: string) => variables[name], clock, log, stopping: stop.signal };
  return { clock, voice, stop, log, options, open: () => new Notifying(voice, options) };
}

Deno.test("a role says when it is ready and when it stops", async () => {
  const { voice, stop, open, clock } = rig();
  {
    await using notifying = open();
    await clock.advanceAsync(60_000);
    assertEquals(voice.said, []);
    notifying.ready("listening on 127.0.0.1:1080");
    await clock.advanceAsync(60_000);
    stop.abort();
  }
  assertEquals(voice.said, ["READY=1\nSTATUS=listening on 127.0.0.1:1080\n", "STOPPING=1\n"]);
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("it says twice in the watchdog's time that it is alive, from its start to its end", async () => {
  const { voice, clock, open } = rig({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: `${Deno.pid}` });
  {
    await using notifying = open();
    notifying.ready("");
    await clock.advanceAsync(150_000);
  }
  assertEquals(voice.said.filter((text) => text.includes("WATCHDOG=1")).length, 11);
  await clock.advanceAsync(150_000);
  assertEquals(voice.said.filter((text) => text.includes("WATCHDOG=1")).length, 11);
});

Deno.test("a watchdog that is meant for another process, or is nonsense, is none", async () => {
  const rows = [["1000000", "1"], ["x"], ["0"], ["-5"], [""]];
  for (const [us, pid] of rows) {
    const { voice, clock, open } = rig({ WATCHDOG_USEC: us!, ...pid !== undefined && { WATCHDOG_PID: pid } });
    await using _notifying = open();
    await clock.advanceAsync(10_000);
    assertEquals(voice.said, []);
  }
});

Deno.test("what nobody takes is said again, with what has come since", async () => {
  const { voice, stop, clock, open } = rig({ WATCHDOG_USEC: "10000000" });
  voice.isHeard = false;
  await using notifying = open();
  notifying.ready("here");
  await clock.advanceAsync(3_000);
  stop.abort();
  voice.isHeard = true;
  await clock.advanceAsync(2_000);
  assertEquals(voice.said, ["READY=1\nSTOPPING=1\nWATCHDOG=1\nSTATUS=here\n"]);
});

Deno.test("what comes in the moment in which all has been said is said too", async () => {
  for (let moments = 0; moments < 8; moments++) {
    const { voice, clock, open } = rig({ WATCHDOG_USEC: "10000000" });
    await using notifying = open();
    for (let moment = 0; moment < moments; moment++) await undefined;
    notifying.ready("here");
    await clock.advanceAsync(1);
    assertStringIncludes(voice.said.join(""), "READY=1", `after ${moments} moments`);
  }
});

Deno.test("where nobody listens nothing is opened; where nobody can be told the role goes on and says so", async () => {
  const silent = rig();
  assertEquals(await openNotifying(silent.options), undefined);
  assertEquals(silent.log.lines, []);
  const { options, log } = rig({ NOTIFY_SOCKET: "vsock:2:1" });
  assertEquals(await openNotifying(options), undefined);
  assertEquals(log.lines.map(({ level }) => level), ["warn"]);
});

/** Runs the listener and gives what it says by sd_notify from its start to its end. */
async function toldBy(permissions: readonly string[], expected: number) {
  using folder = new TempDirectory();
  using libc = openLibc();
  await using sockets = new NotifySockets(libc, clockOf(globalThis));
  const heard: { text: string; pid: number }[] = [];
  const changes = new Changes();
  using _socket = sockets.open(folder.path("socket"), (datagram) => {
    heard.push(datagram);
    changes.tell();
  });
  const file = new URL("./fixtures/listener.ts", import.meta.url).pathname;
  const others = ["--allow-net", "--allow-read", "--allow-sys", "--allow-env"];
  const allowed = permissions.includes("-A") ? permissions : [...others, ...permissions];
  await using program = new Program([Deno.execPath(), "run", "--no-prompt", ...allowed, file, "--json"], {
    env: { NOTIFY_SOCKET: folder.path("socket"), WATCHDOG_USEC: "200000" },
    quiet: true,
  });
  const address = listenAddress(await program.readJson());
  const instead = () => JSON.stringify(heard);
  if (expected > 0) await changes.until(() => heard.length >= expected, `${expected} notices`, instead);
  assertEquals(await within("its end", program.stop()), 0);
  if (expected > 0) {
    await changes.until(() => heard.some(({ text }) => text.includes("STOPPING=1")), "STOPPING=1", instead);
  }
  return { heard, port: address.port, pid: program.pid };
}

Deno.test("a role in its own process is heard by whoever has started it", async () => {
  const { heard, port, pid } = await toldBy(["-A"], 4);
  const all = heard.map(({ text }) => text).join("");
  const ready = heard.find(({ text }) => text.includes("READY=1"));
  assertStringIncludes(ready!.text, `\nSTATUS=listening on 127.0.0.1:${port}\n`);
  assert(all.split("WATCHDOG=1\n").length > 2, all);
  assertEquals(new Set(heard.map((datagram) => datagram.pid)), new Set([pid]));
});

testWith({ tools: ["systemd-notify"] }, "without FFI the program systemd-notify says it", async () => {
  const { heard } = await toldBy(["--allow-run=systemd-notify"], 3);
  const all = heard.map(({ text }) => text).join("\n");
  for (const line of ["READY=1", "WATCHDOG=1", "STOPPING=1", "STATUS=listening on 127.0.0.1:"]) {
    assertStringIncludes(all, line);
  }
});

Deno.test("with neither allowed it runs all the same", async () => {
  const { heard } = await toldBy([], 0);
  assertEquals(heard, []);
});
