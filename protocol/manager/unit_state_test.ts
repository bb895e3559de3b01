import { assertEquals } from "@std/assert";
import { plainService } from "./fixtures/plain_service.ts";
import { parseUnitStates, setupFailure } from "./unit_state.ts";

const RUNNING = `Id=culvert-kcp.service
LoadState=loaded
ActiveState=active
MainPID=812
ExecMainPID=812
ExecMainCode=0
ExecMainStatus=0
ExecMainStartTimestampMonotonic=1234567
StatusText=listening on 127.0.0.1:1080, a=b
InvocationID=0123
ControlGroup=/system.slice/culvert-kcp.service
DropInPaths=/etc/systemd/system/culvert-kcp.service.d/override.conf /run/systemd/x.conf
NeedDaemonReload=no
Result=success
Job=0
`;

Deno.test("units are told apart, and each value is read whole", () => {
  const [running, gone, ...more] = parseUnitStates(`${RUNNING}\nId=culvert-gone.service\nLoadState=not-found\n`);
  assertEquals(more, []);
  assertEquals(running, {
    name: "culvert-kcp.service",
    loaded: "loaded",
    active: "active",
    mainPid: 812,
    last: { pid: 812, startedUs: 1234567 },
    statusText: "listening on 127.0.0.1:1080, a=b",
    invocation: "0123",
    controlGroup: "/system.slice/culvert-kcp.service",
    dropIns: ["/etc/systemd/system/culvert-kcp.service.d/override.conf", "/run/systemd/x.conf"],
    needsReload: false,
    result: "success",
    hasJob: false,
  });
  assertEquals([gone?.name, gone?.loaded, gone?.mainPid, gone?.hasJob], [
    "culvert-gone.service",
    "not-found",
    0,
    false,
  ]);
  assertEquals(parseUnitStates(""), []);
});

Deno.test("an end is a code, a signal, or not yet", () => {
  const rows: [number, number, object][] = [
    [0, 0, {}],
    [1, 7, { code: 7 }],
    [2, 9, { signal: "SIGKILL" }],
    [3, 6, { signal: "SIGABRT" }],
    [2, 40, { signal: "signal 40" }],
  ];
  for (const [how, status, end] of rows) {
    const text = RUNNING.replace("ExecMainCode=0", `ExecMainCode=${how}`).replace("Status=0", `Status=${status}`);
    assertEquals(parseUnitStates(text)[0]!.last, { pid: 812, startedUs: 1234567, ...end });
  }
  const service = plainService("one", ["/bin/one"], { user: "mallory" });
  assertEquals(setupFailure(service, { pid: 1, startedUs: 1, code: 217 }), "its user must exist, got mallory");
  assertEquals(setupFailure(service, { pid: 1, startedUs: 1, code: 1 }), undefined);
});
