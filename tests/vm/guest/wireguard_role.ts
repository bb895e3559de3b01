/**
 * `culvert wireguard` with the kernel's device, which outlives whoever made it: brought up, shown, killed, cleaned up.
 */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";

const CULVERT = ["run", "-A", "--no-check", "--cached-only", "roles/main.ts", "wireguard"];
const CONF = "/tmp/wg7.conf";

async function run(program: string, args: readonly string[]): Promise<{ code: number; out: string; said: string }> {
  const { code, stdout, stderr } = await new Deno.Command(program, { args: [...args], stdin: "null" }).output();
  return { code, out: new TextDecoder().decode(stdout), said: new TextDecoder().decode(stderr) };
}

function culvert(...args: readonly string[]): ReturnType<typeof run> {
  return run(Deno.execPath(), [...CULVERT, ...args]);
}

async function traces(): Promise<string> {
  const commands = [["-o", "link"], ["rule"], ["-6", "rule"], ["route", "show", "table", "all"]];
  const outputs = await Promise.all(commands.map((args) => run("ip", args)));
  // What the kernel's device changes of the machine by itself.
  const redirects = await Deno.readTextFile("/proc/sys/net/ipv4/conf/all/send_redirects");
  return [...outputs.map(({ out }) => out), redirects].join("\n");
}

async function writeConf(): Promise<void> {
  const [secret, peer] = [(await run("wg", ["genkey"])).out.trim(), (await run("wg", ["genkey"])).out.trim()];
  await Deno.writeTextFile(
    CONF,
    `[Interface]\nPrivateKey = ${secret}\nAddress = 10.9.0.1/24, fd09::1/64\nListenPort = 51820\n` +
      `[Peer]\nPublicKey = ${peer}\nAllowedIPs = 0.0.0.0/0, ::/0, 10.8.0.0/16\nEndpoint = 127.0.0.1:9\n`,
    { mode: 0o600 },
  );
}

// One test, since every program that starts takes seconds in an emulated machine.
Deno.test("auto takes the kernel's device; down takes it away, also what a killed run has left of it", async () => {
  await writeConf();
  const before = await traces();
  const up = await culvert("up", CONF, "--detach");
  assertEquals(up.code, 0, up.said);
  assertMatch(up.out, /^ready {2}wireguard {2}listening on \[::\]:51820, interface wg7, kernel backend, MTU \d+\n$/);
  const during = await traces();
  assertStringIncludes(during, "alias culvert");
  assertStringIncludes(during, "default dev wg7 table 51820");
  assertStringIncludes(during, "lookup main suppress_prefixlength 0");
  assertEquals((await culvert("show", "wg7", "--dump")).out, (await run("wg", ["show", "wg7", "dump"])).out);
  assertEquals((await culvert("down", "wg7")).out, "wg7 is down\n");
  assertEquals(await traces(), before);

  const again = await culvert("up", CONF, "--detach");
  Deno.kill(Number(/"pid":(\d+)/.exec(again.said)![1]), "SIGKILL");
  assertStringIncludes(await traces(), "wg7");
  const down = await culvert("down", "wg7");
  assertEquals([down.code, down.out], [0, "wg7 is down\n"], down.said);
  assertEquals(await traces(), before);
});
