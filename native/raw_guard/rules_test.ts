import { assertEquals, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import { parseIp } from "../../protocol/ip.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { guardRules, isGuardedBy, ourRules, SUPPORTS } from "./iptables_rules.ts";
import { riskOf } from "./port_risks.ts";
import { readPortUsers, userText } from "./port_users.ts";
import { Recheck } from "./recheck.ts";
import { runsOf } from "./rules.ts";

Deno.test("ports become runs that hold the same ports", () => {
  assertEquals(runsOf([5, 3, 4, 9]), [{ from: 3, to: 5 }, { from: 9, to: 9 }]);
  fc.assert(fc.property(fc.uniqueArray(fc.nat(60), { minLength: 1 }), (ports) => {
    const held = runsOf(ports).flatMap(({ from, to }) => Array.from({ length: to - from + 1 }, (_, at) => from + at));
    assertEquals(held, ports.toSorted((a, b) => a - b));
  }));
});

const lines = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 18711 1 0000000000000000 100
   1: 0A00000A:AFC8 0500007B:01BB 01 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0000000000000000 20
   2: 0A00000A:AFC9 0500007B:01BB 06 00000000:00000000 03:000003E8 00000000     0        0 0 3 0000000000000000
   3: 00000000000000000000000001000000:AFCA 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 12 1 0
   4: nonsense
`;

Deno.test("the kernel's list of sockets is read, and said in words", () => {
  const users = readPortUsers(lines);
  assertEquals(users.map(userText1), [
    "some process listens on 127.0.0.1:8080",
    "some process has a connection from 10.0.0.10:45000 to 123.0.0.5:443 (ESTABLISHED)",
    "some process has a connection from 10.0.0.10:45001 to 123.0.0.5:443 (TIME_WAIT)",
    "some process listens on [::1]:45002",
  ]);
  assertEquals(users.map(({ inode }) => inode), [18_711, 4711, 0, 12]);
  assertEquals(userText([{ ...users[0]!, process: "nginx (9)" }]), "nginx (9) listens on 127.0.0.1:8080");
  assertEquals(userText([]), "a socket of some process holds it");
});

function userText1(user: ReturnType<typeof readPortUsers>[number]): string {
  return userText([user]);
}

Deno.test("any text is read as a list of sockets without harm", () => {
  fc.assert(fc.property(fc.string(), (text) => void readPortUsers(`head\n${text}`)));
  fc.assert(fc.property(fc.nat(lines.length), fc.string(), (at, text) => {
    readPortUsers(lines.slice(0, at) + text + lines.slice(at + text.length));
  }));
});

Deno.test("of a list of iptables, only the rules of guards are ours", () => {
  const rules = guardRules({ ports: [45_000, 45_001], peer: parseIp("192.0.2.1")! }, SUPPORTS[0]!);
  const listed = [
    "-P PREROUTING ACCEPT",
    '-A OUTPUT -m comment --comment "not culvert-raw-45000 at all" -j DROP',
    "-A OUTPUT -m comment --comment culvert-raw-x -j DROP",
    ...rules.map((rule) => `-A ${rule.join(" ")}`),
  ];
  assertEquals(ourRules(listed.join("\n")), rules.map((rule) => ({ guard: 45_000, rule })));
  assertEquals(rules.map((rule) => rule.join(" ")), [
    "PREROUTING -s 192.0.2.1/32 -p tcp -m tcp --dport 45000:45001 -m addrtype --dst-type LOCAL " +
    "-m comment --comment culvert-raw-45000 -j DROP",
    "OUTPUT -d 192.0.2.1/32 -p tcp -m tcp --sport 45000:45001 --tcp-flags RST RST " +
    "-m comment --comment culvert-raw-45000 -j DROP",
    "OUTPUT -d 192.0.2.1/32 -p tcp -m tcp --sport 45000:45001 -m comment --comment culvert-raw-45000 -j CT --notrack",
  ]);
  assertEquals(
    guardRules({ ports: [7] }, { table: "mangle", knowsLocal: false }).length,
    2,
    "only raw can track nothing",
  );
});

Deno.test("what may go wrong with a port is said to servers", () => {
  const ephemeral = { from: 32_768, to: 60_999 };
  assertStringIncludes(riskOf(443, { side: "server", ephemeral })!, "HTTPS");
  assertStringIncludes(riskOf(45_000, { side: "server", ephemeral })!, "not from 32768 to 60999");
  assertEquals(riskOf(9999, { side: "server", ephemeral }), undefined);
  assertEquals(riskOf(443, { side: "client", ephemeral }), undefined);
  assertEquals(riskOf(45_000, { side: "server", ephemeral: undefined }), undefined);
});

Deno.test("looks follow one another, and the last is waited for", async () => {
  const clock = new FakeClock();
  let looks = 0;
  const gate = Promise.withResolvers<void>();
  const recheck = new Recheck(clock, 100, () => {
    looks++;
    return looks === 2 ? gate.promise : undefined;
  });
  await clock.advanceAsync(100);
  await clock.advanceAsync(1000);
  assertEquals(looks, 2, "the second goes on");
  const ended = recheck[Symbol.asyncDispose]();
  gate.resolve();
  await ended;
  await clock.advanceAsync(1000);
  assertEquals(looks, 2);
});

Deno.test("a rule of iptables guards the ports that it names", () => {
  const listed = [
    "-A PREROUTING -p tcp -m tcp --dport 45000:45007 -m comment --comment culvert-raw-45000 -j DROP",
    "-A OUTPUT -p tcp -m tcp --sport 45000:45007 -m comment --comment culvert-raw-45000 -j DROP",
    "-A PREROUTING -p tcp -m tcp --dport 47000 -m comment --comment culvert-raw-45000 -j DROP",
    "-A PREROUTING -p tcp -m comment --comment culvert-raw-45000 -j DROP --dport",
  ];
  const rules = ourRules(listed.join("\n"));
  const guarding = (port: number) => rules.map((rule) => isGuardedBy(rule, port));
  assertEquals(guarding(45_007), [true, false, false, false]);
  assertEquals(guarding(47_000), [false, false, true, false]);
  assertEquals(guarding(46_000), [false, false, false, false]);
});
