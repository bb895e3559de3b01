import { assertEquals, assertStringIncludes } from "@std/assert";
import { plainService } from "../../../protocol/manager/fixtures/plain_service.ts";
import type { ManagerReport } from "../../../protocol/manager/report.ts";
import type { Service } from "../../../protocol/manager/service.ts";
import { stoppedReport } from "../fixtures/fake_manager.ts";
import { plainPaint } from "../styles.ts";
import { type Finding, findingLines } from "./finding.ts";
import * as machine from "./machine_findings.ts";
import { managerFindings } from "./manager_findings.ts";
import { pidFileFindings, serviceFindings, type ServiceMachine, sharedPortFindings } from "./service_findings.ts";

const MIB = 1024 * 1024;
const disk = { what: "logs", path: "/l", freeBytes: 1024 * MIB, freeFiles: 10_000 };
const limits = (hard: string) => `Max open files            1024                 ${hard}               files\n`;

const rows: readonly { name: string; finding: Finding; verdict: Finding["verdict"]; says: string }[] = [
  { name: "a new kernel", finding: machine.kernelFinding("linux", "6.1.0-9"), verdict: "ok", says: "Linux 6.1.0-9" },
  { name: "the oldest", finding: machine.kernelFinding("linux", "5.3.0"), verdict: "ok", says: "5.3" },
  { name: "an old kernel", finding: machine.kernelFinding("linux", "4.19.0"), verdict: "fail", says: "no pidfd_open" },
  { name: "no Linux", finding: machine.kernelFinding("darwin", "23"), verdict: "fail", says: "darwin" },
  { name: "a clock that is kept", finding: machine.timeFinding(true), verdict: "ok", says: "kept right" },
  { name: "a clock that is not", finding: machine.timeFinding(false), verdict: "warn", says: "nobody keeps" },
  { name: "many files", finding: machine.openFilesFinding(limits("1048576")), verdict: "ok", says: "1048576" },
  { name: "any number", finding: machine.openFilesFinding(limits("unlimited")), verdict: "ok", says: "unlimited" },
  { name: "few files", finding: machine.openFilesFinding(limits("4096")), verdict: "warn", says: "4096" },
  { name: "unknown limits", finding: machine.openFilesFinding(""), verdict: "warn", says: "does not say" },
  { name: "room", finding: machine.diskFinding(disk), verdict: "ok", says: "1.0 GiB free" },
  {
    name: "little room",
    finding: machine.diskFinding({ ...disk, freeBytes: 99 * MIB }),
    verdict: "warn",
    says: "99.0",
  },
  { name: "no room", finding: machine.diskFinding({ ...disk, freeBytes: 1 }), verdict: "fail", says: "1 B free" },
  { name: "no inodes", finding: machine.diskFinding({ ...disk, freeFiles: 3 }), verdict: "fail", says: "3 more files" },
  { name: "no TUN, not needed", finding: machine.tunFinding(false, []), verdict: "ok", says: "no service needs it" },
  { name: "no TUN", finding: machine.tunFinding(false, ["wg"]), verdict: "fail", says: "wg may need it" },
  { name: "no rules", finding: machine.firewallFinding("no", ["kcp"]), verdict: "fail", says: "kcp may need rules" },
  { name: "no root", finding: machine.rightsFinding(false, ["kcp"]), verdict: "fail", says: "kcp may need its rights" },
];

for (const { name, finding, verdict, says } of rows) {
  Deno.test(`the doctor judges the machine: ${name}`, () => {
    assertEquals(finding.verdict, verdict);
    assertStringIncludes(finding.says, says);
    assertEquals(finding.advice === undefined, verdict === "ok");
  });
}

const well: ServiceMachine = {
  isRoot: true,
  running: new Set(),
  givesRights: true,
  hasUser: () => Promise.resolve(true),
  isProgram: () => Promise.resolve(true),
  isThere: () => Promise.resolve(true),
  isOpenToAll: () => Promise.resolve(true),
  portOwner: () => Promise.resolve(undefined),
};
const no = () => Promise.resolve(false);
const port = { kind: "tcp", at: { host: "127.0.0.1", port: 1080 } } as const;
const service = (more: Partial<Service> = {}): Service => ({
  ...plainService("s", ["/bin/s", "-c", "/c"]),
  ...more,
});
const owner = () => Promise.resolve({ pid: 7, program: "other" });

const serviceRows: readonly { name: string; service?: Service; machine: Partial<ServiceMachine>; says: string[] }[] = [
  { name: "all is well", machine: {}, says: ["ok its program, user and ports are as they should be"] },
  { name: "no program", machine: { isProgram: no }, says: ["fail /bin/s is no program"] },
  {
    name: "no configuration",
    service: service({ command: ["/opt/xray", "run", "-c", "/c"] }),
    machine: { isThere: no },
    says: ["fail its configuration /c is not there"],
  },
  {
    name: "no configuration of a role",
    service: service({ role: "proxy", command: ["/opt/deno", "proxy", "--config", "/c"] }),
    machine: { isThere: no },
    says: ["fail its configuration /c is not there"],
  },
  {
    name: "a flag that is not about a configuration",
    service: service({ command: ["/bin/sh", "-c", "/c; exec /d"] }),
    machine: { isThere: no },
    says: ["ok its program, user and ports are as they should be"],
  },
  { name: "no user", service: service({ user: "u" }), machine: { hasUser: no }, says: ["fail there is no user u"] },
  {
    name: "not root",
    service: service({ user: "u" }),
    machine: { isRoot: false },
    says: ["fail only root can run it as u"],
  },
  {
    name: "nobody gives rights",
    service: service({ user: "u", capabilities: ["CAP_NET_RAW"] }),
    machine: { givesRights: false },
    says: ["fail u cannot be given CAP_NET_RAW"],
  },
  {
    name: "closed folders",
    service: service({ user: "u", environment: { DENO_DIR: "/d" } }),
    machine: { isOpenToAll: no },
    says: ["fail u cannot read /bin/s", "fail u cannot read /d"],
  },
  {
    name: "a port is taken",
    service: service({ listen: [port] }),
    machine: { portOwner: owner },
    says: ["fail it does not run, and 127.0.0.1:1080 is taken by other, process 7"],
  },
  {
    name: "a port is its own",
    service: service({ listen: [port] }),
    machine: { portOwner: owner, running: new Set(["s"]) },
    says: ["ok its program, user and ports are as they should be"],
  },
];

for (const { name, service: given = service(), machine: other, says } of serviceRows) {
  Deno.test(`the doctor judges a service: ${name}`, async () => {
    const findings = await serviceFindings(given, { ...well, ...other });
    assertEquals(findings.map((finding) => `${finding.verdict} ${finding.says}`), says);
  });
}

Deno.test("two services that want one port are told", () => {
  const both = [service({ listen: [port] }), { ...service({ listen: [port] }), name: "t" }];
  assertEquals(sharedPortFindings(both).map(({ says }) => says), ["s and t both listen at 127.0.0.1:1080"]);
  assertEquals(sharedPortFindings([both[0]!, { ...both[1]!, enabled: false }]), []);
});

Deno.test("pid files that say nothing of use are told", () => {
  const files = (["runs", "gone", "unreadable"] as const).map((state) => ({ name: "s", directory: "/r", state }));
  const found = pidFileFindings([...files, { name: "t", directory: "/r", state: "gone" }], [service()]);
  assertEquals(found.map(({ says }) => says), [
    "/r/s.pid names a process that is gone",
    "/r/s.pid names no process of ours",
    "/r/t.pid is of no service",
  ]);
});

Deno.test("what the manager tells is passed on", () => {
  const places = { services: "/s", run: "/r", logs: "/l", socket: "/r/m", watchdogFiles: [], backend: "own" as const };
  const report: ManagerReport = {
    pid: 5,
    backend: "own",
    startedMs: 0,
    nowMs: 1,
    problems: [],
    services: [
      { ...stoppedReport("a"), gaveUp: true, reason: "it crashed" },
      { ...stoppedReport("b"), health: "unhealthy", notes: ["a unit was edited"] },
    ],
  };
  assertEquals(managerFindings(report, places).map(({ check, verdict, says }) => `${verdict} ${check} ${says}`), [
    "ok manager process 5 looks after 2 services, by itself",
    "fail a it was given up: it crashed",
    "fail b it is not well",
    "warn b a unit was edited",
  ]);
  assertEquals(managerFindings(undefined, places)[0]!.verdict, "warn");
  assertEquals(managerFindings(undefined, places, "another user runs it")[0]!.verdict, "fail");
});

Deno.test("a finding is a line, and one more with what to do", () => {
  const finding = machine.timeFinding(false);
  assertEquals(findingLines(finding, plainPaint)[0], "warn  time: nobody keeps the clock right");
  assertStringIncludes(findingLines(finding, plainPaint)[1]!, "run chrony");
});
