import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { readWatchdogConf, readWatchdogTable, watchdogContradictions } from "./watchdog_conf.ts";
import { defaultWatchdogSettings } from "./watchdog_settings.ts";

Deno.test("the seed's file is read as it stands", () => {
  const text = `CHECK_INTERVAL=30      # Health check frequency (seconds)
MAX_RESTARTS=5         # Max restart attempts in window
RESTART_WINDOW=300     # Time window for restart counter (seconds)
WATCHDOG_ENABLED=true  # Enable/disable auto-restart
ALERT_THRESHOLD=3      # Send alerts after N restarts
`;
  const { settings, problems } = readWatchdogConf(text, "watchdog.conf");
  assertEquals(problems, []);
  assertEquals({ ...defaultWatchdogSettings, ...settings }, defaultWatchdogSettings);
  assertEquals(Object.keys(settings).length, 5);
});

Deno.test("comments, quotes, units and commands are read; nothing is evaluated", () => {
  const text = `\uFEFF# the watchdog\r
export CHECK_INTERVAL = 1m\r
STOP_TIMEOUT='2.5'
START_TIMEOUT=500m
BACKOFF_BASE="500ms" # soon
BACKOFF_MAX=2h
SETTLE_TIME=0

WATCHDOG_ENABLED=off
ALERT_WEBHOOK=https://hooks.example/a#b
ALERT_COMMAND=["/usr/bin/notify me", "$(id)", "#1"]
`;
  assertEquals(readWatchdogConf(text, "f"), {
    settings: {
      checkIntervalMs: 60_000,
      stopTimeoutMs: 2_500,
      backoffBaseMs: 500,
      backoffMaxMs: 7_200_000,
      settleMs: 0,
      enabled: false,
      alertWebhook: "https://hooks.example/a#b",
      alertCommand: ["/usr/bin/notify me", "$(id)", "#1"],
    },
    problems: [
      'f:4: START_TIMEOUT must be seconds from 1 to 3600, or a duration such as 500ms, 30s, 5m or 1h, got "500m"',
    ],
  });
  const quoted = `ALERT_COMMAND='["/usr/bin/notify me", "$(id)", "#1"]'`;
  assertEquals(readWatchdogConf(quoted, "f").settings.alertCommand, ["/usr/bin/notify me", "$(id)", "#1"]);
  const words = `ALERT_COMMAND="/usr/bin/logger -t \\"x\\" $HOME"`;
  assertEquals(readWatchdogConf(words, "f").settings.alertCommand, ["/usr/bin/logger", "-t", '"x"', "$HOME"]);
});

Deno.test("what is wrong names itself, its file and line, and no secret", () => {
  for (
    const [line, problem] of [
      ["MAX_RESTARTS=many", 'f:1: MAX_RESTARTS must be a whole number from 0 to 1000, got "many"'],
      ["MAX_RESTARTS=1e3", 'f:1: MAX_RESTARTS must be a whole number from 0 to 1000, got "1e3"'],
      ["ALERT_THRESHOLD=0", 'f:1: ALERT_THRESHOLD must be a whole number from 1 to 1000, got "0"'],
      ["MAX_RESTART=5", 'f:1: "MAX_RESTART" is not a setting of the watchdog'],
      ["max_restarts=5", 'f:1: "max_restarts" is not a setting of the watchdog'],
      ["MAX_RESTARTS", "f:1: a line must be KEY=VALUE, its quotes closed"],
      ['MAX_RESTARTS="5', "f:1: a line must be KEY=VALUE, its quotes closed"],
      ['MAX_RESTARTS="5" 6', "f:1: a line must be KEY=VALUE, its quotes closed"],
      ["WATCHDOG_ENABLED=perhaps", 'f:1: WATCHDOG_ENABLED must be true or false, got "perhaps"'],
      ["ALERT_WEBHOOK=ftp://token@host", "f:1: ALERT_WEBHOOK must be an http or https URL"],
      ["MAX_RESTARTS=1\nMAX_RESTARTS=2", "f:2: MAX_RESTARTS is there twice"],
      ["ALERT_COMMAND=", 'f:1: ALERT_COMMAND must be a program and its arguments, as words or as ["…", "…"]'],
    ] as const
  ) assertEquals(readWatchdogConf(line, "f").problems, [problem], line);
  const { problems } = readWatchdogConf("CHECK_INTERVAL=-1", "f");
  assert(problems[0]!.endsWith('got "-1"'));
});

Deno.test("TOML says the same in small letters, and its lines are found", () => {
  const text = `[service]
max_restarts = 1
[watchdog]
check_interval = 10
max_restarts = "x"
`;
  const table = { check_interval: 10, max_restarts: "x", enabled: false, alert_command: ["/bin/a", "b c"] };
  assertEquals(readWatchdogTable(table, { file: "web.toml", text, section: "watchdog" }), {
    settings: { checkIntervalMs: 10_000, enabled: false, alertCommand: ["/bin/a", "b c"] },
    problems: ['web.toml:5: watchdog.max_restarts must be a whole number from 0 to 1000, got "x"'],
  });
  const top = { watchdog_enabled: true, enabled: true, MAX_RESTARTS: 5, stop_timeout: "1m" };
  assertEquals(readWatchdogTable(top, { file: "f", text: "" }), {
    settings: { enabled: true, stopTimeoutMs: 60_000 },
    problems: ["f: enabled is there twice", 'f: "MAX_RESTARTS" is not a setting of the watchdog'],
  });
});

Deno.test("a process must have time left once it counts as alive", () => {
  const settings = { ...defaultWatchdogSettings, settleMs: 30_000, startTimeoutMs: 30_000 };
  assertEquals(watchdogContradictions(settings, "f"), [
    "f: SETTLE_TIME must be below START_TIMEOUT, or nothing ever counts as started; got 30 s and 30 s",
  ]);
  assertEquals(watchdogContradictions({ ...settings, settleMs: 29_999 }, "f"), []);
});

Deno.test("no text is an exception, and what is read keeps the rules", () => {
  const names = ["CHECK_INTERVAL", "MAX_RESTARTS", "BACKOFF_MAX", "ALERT_COMMAND", "ALERT_WEBHOOK", "x"];
  const line = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.tuple(fc.constantFrom(...names), fc.oneof(fc.string(), fc.nat().map(String), fc.json())).map((pair) =>
      pair.join("=")
    ),
  );
  fc.assert(fc.property(fc.array(line), (lines) => {
    const { settings } = readWatchdogConf(lines.join("\n"), "f");
    const { checkIntervalMs = 100, maxRestarts = 0, alertCommand = ["x"] } = settings;
    assert(
      checkIntervalMs >= 100 && Number.isInteger(maxRestarts) && alertCommand.every((word) => typeof word === "string"),
    );
  }));
});
