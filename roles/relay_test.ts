import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { createMetrics } from "../edge/metrics.ts";
import { openPath } from "../net/open.ts";
import { hostPrimitives } from "../net/host_primitives.ts";
import { issueCertificate } from "../protocol/certificate.ts";
import { clockOf } from "../protocol/clock.ts";
import { policyOf } from "../protocol/egress_policy.ts";
import { encodeBase64 } from "../protocol/encoding.ts";
import { silentLog } from "../protocol/log.ts";
import { noMetrics } from "../protocol/metrics.ts";
import { randomOf } from "../protocol/random.ts";
import { readFull, writeAll } from "../protocol/stream.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { eventually, within } from "../testing/waiting.ts";
import { role as base } from "./base.ts";
import { role as gateway } from "./gateway.ts";
import { loadOrCreateIdentity, storeCertificate } from "./identity_store.ts";
import { role as relay } from "./relay.ts";
import { type StartOptions, startRole } from "./role.ts";
import { StateDirectory } from "./state.ts";

const clock = clockOf(globalThis);
const random = randomOf(crypto);
const primitives = hostPrimitives();
const tools = { clock, random, log: silentLog, metrics: noMetrics, policy: policyOf() };

/** Asks the page that every way out has, and gives what it says. */
async function hello(url: string): Promise<string> {
  using path = openPath(url, tools);
  const stream = await path.dial({ host: "hello.culvert", port: 80 });
  await writeAll(
    stream,
    new TextEncoder().encode("GET / HTTP/1.1\r\nHost: hello.culvert\r\nConnection: close\r\n\r\n"),
  );
  const page = new Uint8Array(64);
  await readFull(stream, page);
  stream.close();
  return new TextDecoder().decode(page);
}

function startBase(settings: Record<string, unknown> = {}) {
  return startRole(base, base.config.parse({ listen: "127.0.0.1:0", kv: ":memory:", adminApi: false, ...settings }));
}

function startRelay(settings: Record<string, unknown>, options: StartOptions) {
  return startRole(relay, relay.config.parse({ listen: "127.0.0.1:0", ...settings }), options);
}

function startGateway(settings: Record<string, unknown>, options: StartOptions) {
  return startRole(gateway, gateway.config.parse(settings), options);
}

Deno.test("relays and a gateway carry circuits, say how they are, and stop when told to", async () => {
  using directory = new TempDirectory();
  await using running = startBase();
  const { addresses } = await running.ready;
  const bases = { base: [`http://${addresses.listen}`] };
  const metrics = createMetrics();
  await using first = startRelay(bases, { stateDir: directory.path("first"), metrics });
  await using second = startRelay({ ...bases, bandwidth: 100 }, { stateDir: directory.path("second") });
  await using out = startGateway({ ...bases, links: 2 }, { stateDir: directory.path("gateway") });
  for (const each of [first, second, out]) await within("ready", each.ready);
  assertMatch(await hello(`circuit+http://${addresses.listen}/?hops=2&circuits=1`), /^HTTP\/1\.1 200/);
  assertMatch(await metrics.text(), /circuit_relay_cells_total [1-9]/);
  await eventually("base knows the relays", () => first.readiness().ready && second.readiness().ready);
  assertEquals(out.readiness(), { ready: true, failing: {} });
  await first.stop();
  await second.stop();
  await eventually("the gateway has no relay", () => !out.readiness().ready);
  assertStringIncludes(Object.keys(out.readiness().failing ?? {}).join(), "relays");
  await out.stop();
});

Deno.test("a gateway dials the relays it is told to, and no others", async () => {
  using directory = new TempDirectory();
  await using running = startBase();
  const { addresses } = await running.ready;
  const bases = { base: [`http://${addresses.listen}`] };
  const relays = ["first", "second"].map((name) => startRelay(bases, { stateDir: directory.path(name) }));
  const ids = await Promise.all(relays.map(async ({ ready }) => /peer (\w+)/.exec((await ready).note!)![1]!));
  await using out = startGateway({ ...bases, relay: [ids[1]] }, { stateDir: directory.path("gateway") });
  await within("the gateway is listed", out.ready);
  const answer = await fetch(`http://${addresses.listen}/v1/relays?kind=relay`);
  const { relays: listed } = await answer.json() as { relays: { relayId: string; gateways: unknown[] }[] };
  const counts = new Map(listed.map(({ relayId, gateways }) => [relayId, gateways.length]));
  assertEquals(ids.map((id) => counts.get(id)), [0, 1]);
  await out.stop();
  for (const each of relays) await each.stop();
});

Deno.test("in a closed network relays and gateways need its certificates, each for its own role", async () => {
  using directory = new TempDirectory();
  const networkKey = random.fill(new Uint8Array(32));
  const networkPublicKey = encodeBase64(primitives.ed25519PublicKey(networkKey));
  await using running = startBase({ networkPublicKey });
  const { addresses } = await running.ready;
  const closed = { base: [`http://${addresses.listen}`], networkPublicKey };
  const enrolled = async (name: string, role: string) => {
    const state = await StateDirectory.open(directory.path(name));
    const { identity: { peerId } } = await loadOrCreateIdentity(state, { random, primitives, clock });
    const times = { notBeforeMs: clock.wallNow() - 1000, notAfterMs: clock.wallNow() + 3_600_000 };
    const certificate = issueCertificate({ peerId, roles: [role], ...times }, { networkKey, primitives, random });
    await storeCertificate(state, certificate, { clock });
    return { stateDir: state.path };
  };
  const wrong = startRelay(closed, await enrolled("wrong", "gateway"));
  const reason = await within("its end", wrong.done.then(() => "", String));
  assertStringIncludes(reason, "wrong_role");
  await using first = startRelay(closed, await enrolled("first", "relay"));
  await within("the relay", first.ready);
  await using out = startGateway(closed, await enrolled("gateway", "gateway"));
  await within("the gateway is listed", out.ready);
  await out.stop();
  await first.stop();
});
