import { assertEquals } from "@std/assert";
import { clockOf } from "../../protocol/clock.ts";
import { defaultWatchdogSettings, type WatchdogSettings } from "../../protocol/manager/watchdog_settings.ts";
import { isRunning } from "../../native/process_exits.ts";
import { readProcStat } from "../../native/proc_files.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { LogCollector } from "../../testing/log_collector.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { eventually, within } from "../../testing/waiting.ts";
import { untracedFetch } from "../untraced_fetch.ts";
import { type Alert, openAlerts } from "./alerts.ts";

const alert: Alert = { service: "web", event: "gave_up", message: "It has ended. It is given up", atMs: 0 };
const clock = clockOf(globalThis);

function settings(wish: Partial<WatchdogSettings>): WatchdogSettings {
  return { ...defaultWatchdogSettings, ...wish };
}

Deno.test("an alert is logged, whatever the settings", async () => {
  const log = new LogCollector();
  await using alerts = openAlerts({ clock, log, fetch });
  alerts.tell(alert, settings({}));
  assertEquals(log.text(), "error It has ended. It is given up service=web event=gave_up");
});

Deno.test("a webhook is asked once more when it fails, and no more", async () => {
  const bodies: unknown[] = [];
  const statuses = [500, 204, 500, 500];
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    bodies.push(await request.json());
    return new Response(null, { status: statuses.shift() ?? 200 });
  });
  const log = new LogCollector();
  await using alerts = openAlerts({ clock, log, fetch });
  const webhook = settings({ alertWebhook: `http://127.0.0.1:${server.addr.port}/hook?token=secret` });
  alerts.tell(alert, webhook);
  alerts.tell({ ...alert, service: "other" }, webhook);
  const { fields } = await log.waitFor("webhook has failed");
  assertEquals(fields, { service: "other", event: "gave_up", error: "Cannot post the alert: the answer was 500" });
  const told = { service: "web", event: "gave_up", message: alert.message, time: "1970-01-01T00:00:00.000Z" };
  assertEquals(bodies, [told, told, { ...told, service: "other" }, { ...told, service: "other" }]);
});

Deno.test("a webhook that cannot be reached is logged without its secret", async () => {
  using gone = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = gone.addr as Deno.NetAddr;
  gone.close();
  const log = new LogCollector();
  await using alerts = openAlerts({ clock, log, fetch });
  alerts.tell(alert, settings({ alertWebhook: `http://127.0.0.1:${port}/hook?token=secret` }));
  const { fields } = await log.waitFor("webhook has failed");
  assertEquals(fields.error, `Cannot post the alert: 127.0.0.1:${port} cannot be reached`);
});

Deno.test("a command has the alert in its environment, and nothing of ours", async () => {
  using directory = new TempDirectory();
  const file = directory.path("told");
  const log = new LogCollector();
  await using alerts = openAlerts({ clock, log, fetch });
  const command = ["/bin/sh", "-c", 'env | grep -v ^PWD= | grep -v ^_= > "$0.new"; mv "$0.new" "$0"; exit 3', file];
  alerts.tell(alert, settings({ alertCommand: command }));
  const { fields } = await log.waitFor("command has failed");
  assertEquals(fields.error, "Cannot run the alert's command: it ended with 3");
  const names = Deno.readTextFileSync(file).trim().split("\n").map((line) => line.split("=")[0]!).sort();
  const own = ["EVENT", "MESSAGE", "SERVICE", "TIME"].map((name) => `CULVERT_ALERT_${name}`);
  assertEquals(names.filter((name) => !["SHLVL", "OLDPWD"].includes(name)), [...own, "PATH"]);
});

Deno.test("a command that does not end is ended with the manager, and what waits for it is bounded", async () => {
  using directory = new TempDirectory();
  const file = directory.path("begun");
  const log = new LogCollector();
  {
    await using alerts = openAlerts({ clock, log, fetch });
    const command = settings({ alertCommand: ["/bin/sh", "-c", 'echo > "$0"; exec sleep 600', file] });
    alerts.tell(alert, command);
    await eventually("the command's begin", () => Array.from(Deno.readDirSync(directory.path("."))).length > 0);
    for (let n = 0; n < 70; n++) alerts.tell({ ...alert, service: `s${n}` }, command);
    await within("the end", Promise.resolve(alerts[Symbol.asyncDispose]()));
  }
  const dropped = log.lines.filter(({ message }) => message.includes("dropped")).map(({ fields }) => fields.service);
  assertEquals(dropped, ["s0", "s1", "s2", "s3", "s4", "s5"]);
  assertEquals(log.lines.at(-1)!.fields, { how: "command", count: 64 });
});

Deno.test("a webhook does not wait for a command, and what a late command has started ends with it", async () => {
  using directory = new TempDirectory();
  const file = directory.path("child");
  const told = Promise.withResolvers<void>();
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => {
    told.resolve();
    return new Response();
  });
  const fakeClock = new FakeClock();
  const log = new LogCollector();
  await using alerts = openAlerts({ clock: fakeClock, log, fetch });
  const script = 'sleep 600 & echo $! > "$0.new"; mv "$0.new" "$0"; wait';
  alerts.tell(alert, settings({ alertCommand: ["/bin/sh", "-c", script, file] }));
  alerts.tell(alert, settings({ alertWebhook: `http://127.0.0.1:${server.addr.port}/` }));
  await within("the webhook", told.promise);
  await eventually(
    "the command's child",
    () => Array.from(Deno.readDirSync(directory.path("."))).some(({ name }) => name === "child"),
  );
  const pid = Number(Deno.readTextFileSync(file));
  const { startTicks } = readProcStat(pid)!;
  fakeClock.advance(30_000);
  await log.waitFor("command has failed");
  await eventually("its child is gone", () => !isRunning({ pid, startTicks }));
});

Deno.test("a webhook is asked by the fetch that is given, so that no trace has its URL", async () => {
  const asked: string[] = [];
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    asked.push(`${request.method} ${new URL(request.url).pathname} ${request.headers.has("traceparent")}`);
    return new Response(null, { status: asked.length < 2 ? 204 : 500 });
  });
  const url = `http://127.0.0.1:${server.addr.port}/secret`;
  const given: unknown[] = [];
  const untraced = await untracedFetch({ isOn: true });
  const log = new LogCollector();
  const ask: typeof fetch = (input, init) => (given.push(input), untraced(input, init));
  await using alerts = openAlerts({ clock, log, fetch: ask });
  alerts.tell(alert, settings({ alertWebhook: url }));
  await eventually("the alert", () => asked.length === 1);
  alerts.tell(alert, settings({ alertWebhook: url }));
  await log.waitFor("webhook has failed");
  assertEquals(asked, Array(3).fill("POST /secret false"));
  assertEquals(given, Array(3).fill(url));
});
