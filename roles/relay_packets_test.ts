import { assert, assertEquals, assertMatch, assertNotEquals, assertStringIncludes } from "@std/assert";
import { createMetrics } from "../edge/metrics.ts";
import { openCarrier } from "../net/packets/open_carrier.ts";
import { openRoutedCarrier } from "../net/packets/open_routed_carrier.ts";
import { clockOf } from "../protocol/clock.ts";
import { CulvertError } from "../protocol/errors.ts";
import { silentLog } from "../protocol/log.ts";
import { noMetrics } from "../protocol/metrics.ts";
import { randomOf } from "../protocol/random.ts";
import { parseRouteHop } from "../protocol/sealed_route/access.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { eventually, within } from "../testing/waiting.ts";
import { FakeHost } from "./fixtures/fake_host.ts";
import { role } from "./relay_packets.ts";
import { runRole, type StartOptions, startRole } from "./role.ts";

const tools = { clock: clockOf(globalThis), random: randomOf(crypto), log: silentLog, metrics: noMetrics };

function start(settings: Record<string, unknown>, options: StartOptions) {
  return startRole(role, role.config.parse({ listen: "127.0.0.1:0", client: ["alice"], ...settings }), options);
}

/** What the role prints with `--show`. */
async function shown(settings: Record<string, unknown>, options: StartOptions): Promise<string> {
  const lines: string[] = [];
  await using running = startRole(role, role.config.parse(settings), { ...options, print: (line) => lines.push(line) });
  await running.done;
  return lines.join("\n");
}

Deno.test("a client that is shown its relay reaches through it what is allowed, and the rest is refused in words", async () => {
  using directory = new TempDirectory();
  const stateDir = directory.path("state"), metrics = createMetrics();
  await using running = start({ allow: ["127.0.0.1:7000-7001"] }, { stateDir, metrics });
  const { addresses, note } = await within("ready", running.ready);
  assertEquals(note, "clients 1");
  const relay = parseRouteHop(await shown({ show: "alice", advertise: addresses.listen }, { stateDir }))!;
  const inner = await openCarrier({ ...tools, kind: "udp", listen: { host: "127.0.0.1" } });
  await using routed = await openRoutedCarrier(inner, { ...tools, relays: [relay] });
  assertEquals((await routed.reach("127.0.0.1", 7000)).port, 7000);
  const refused = await within("a refusal", routed.reach("127.0.0.1", 7002).then(() => undefined, (error) => error));
  assert(refused instanceof CulvertError && refused.code === "route_closed", String(refused));
  assertStringIncludes(refused.message, "does not lead to 127.0.0.1:7002");
  await eventually("it is counted", async () => {
    const text = await metrics.text();
    return /packet_relay_questions_total\{outcome="granted"\} 1/.test(text) && /outcome="closed"\} 1/.test(text);
  });
  await running.stop();
});

Deno.test("what a client is given stays the same with the key, and is another for another name", async () => {
  using directory = new TempDirectory();
  const stateDir = directory.path("state");
  const at = { listen: "192.0.2.1:7430" };
  const first = await shown({ show: "alice", ...at }, { stateDir });
  const [again, other] = await Promise.all(["alice", "bob"].map((show) => shown({ show, ...at }, { stateDir })));
  assertMatch(first, /^[\w-]{43}@192\.0\.2\.1:7430$/);
  assertEquals(again, first);
  assertNotEquals(other, first);
  const json = JSON.parse(await shown({ show: "bob", ...at }, { stateDir, json: true }));
  assertEquals(json, { client: "bob", relay: other });
  const { mode } = await Deno.stat(`${stateDir}/packet-relay.key`);
  assertEquals(mode! & 0o777, 0o600);
});

Deno.test("settings that are wrong say so and exit with 2", async () => {
  const rows: readonly (readonly [readonly string[], string])[] = [
    [[], "--client must be given at least once"],
    [["--client", "A"], '--client must be lower-case letters, digits, dots and dashes, such as alice-phone, got "A"'],
    [["--client", "a", "--allow", "x"], "--allow must be an address or a network, with ports or without"],
    [["--client", "a", "--listen", "relay.example:1"], "--listen must be an IP address and a port"],
    [["--client", "a", "--ticket-lifetime", "2h"], "--ticket-lifetime must be a duration"],
    [["--show", "a"], "--advertise must be given with --show"],
    [["--client", "a", "--rate", "0"], "--rate must be"],
  ];
  for (const [args, message] of rows) {
    const host = new FakeHost();
    assertEquals(await runRole(role, args, { host }), 2);
    assertStringIncludes(host.complaints, message);
  }
});

Deno.test("a port that is taken is told", async () => {
  using directory = new TempDirectory();
  await using first = start({}, { stateDir: directory.path("state") });
  const { addresses } = await within("ready", first.ready);
  await using second = start({ listen: addresses.listen }, { stateDir: directory.path("state") });
  assertStringIncludes(await within("its end", second.done.then(() => "", String)), "Cannot listen on UDP port");
});
