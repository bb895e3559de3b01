/** The tools against a server of our own dialect, over UDP. */

import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { CulvertKcpServer } from "../../net/kcp/culvert_server.ts";
import { EchoPath } from "../../net/kcp/fixtures/culvert_rig.ts";
import { openCarrier } from "../../net/packets/open_carrier.ts";
import { openSealCrypto } from "../../net/seal_crypto.ts";
import { type Clock, clockOf } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import { randomOf } from "../../protocol/random.ts";
import {
  drawSecretText,
  formatCredential,
  parseNamedSecret,
  parseServerKey,
} from "../../protocol/sealed_packets/credentials.ts";
import { testWith } from "../../testing/requirements.ts";
import { doctorConfig, runDoctor } from "./doctor.ts";
import type { ToolContext } from "./far_end.ts";
import { pingConfig, runPing } from "./ping.ts";

const common = { clock: clockOf(globalThis), random: randomOf(crypto), log: silentLog, metrics: noMetrics };

interface Scene {
  readonly to: string;
  readonly credential: string;
  /** Of this server, and of nobody that it knows. */
  readonly strange: string;
}

async function withServer(run: (scene: Scene) => Promise<void>): Promise<void> {
  const carrier = await openCarrier({ kind: "udp", listen: { host: "127.0.0.1" }, ...common });
  using sealing = await openSealCrypto();
  const server = parseServerKey(sealing, drawSecretText(common.random));
  const { name, secret } = parseNamedSecret(`one=${drawSecretText(common.random)}`);
  const credentialOf = (secret: Uint8Array<ArrayBuffer>) =>
    formatCredential({ serverPublicKey: server.publicKey, secret });
  await using _server = new CulvertKcpServer({
    ...common,
    carriers: [carrier],
    crypto: sealing,
    server,
    clients: [{ name, secret }],
    onward: new EchoPath(),
  });
  await run({
    to: `127.0.0.1:${carrier.localPorts[0]}`,
    credential: credentialOf(secret),
    strange: credentialOf(secret.map((byte) => byte ^ 1)),
  });
}

function context(clock: Clock = common.clock): ToolContext & { readonly lines: string[] } {
  const lines: string[] = [];
  return {
    ...common,
    clock,
    signal: new AbortController().signal,
    json: true,
    print: (line) => void lines.push(line),
    lines,
  };
}

Deno.test("a server of our own dialect answers pings", async () => {
  await withServer(async ({ to, credential }) => {
    const printed = context();
    await runPing(pingConfig.parse({ to, key: credential, count: 3, every: "10ms" }), printed);
    const { asked, answered, mostMs } = JSON.parse(printed.lines[0]!);
    assertEquals([asked, answered], [3, 3]);
    assert(mostMs < 2000);
  });
});

Deno.test("a secret that the server does not know is reported as such, at once", async () => {
  await withServer(async ({ to, strange }) => {
    const config = pingConfig.parse({ to, key: strange, count: 1 });
    const error = await assertRejects(() => runPing(config, context()), CulvertError, "does not know the secret");
    assertEquals(error.code, "unauthorized");
  });
});

async function findings(given: Record<string, unknown>, clock?: Clock): Promise<Record<string, string>> {
  const printed = context(clock);
  await runDoctor(doctorConfig.parse(given), printed).catch((error) => {
    if ((error as CulvertError).code !== "problems_found") throw error;
  });
  const found: { check: string; verdict: string; says: string }[] = JSON.parse(printed.lines[0]!).findings;
  return Object.fromEntries(found.map(({ check, verdict, says }) => [check, `${verdict}: ${says}`]));
}

testWith({ root: true }, "a doctor tells a good session from a wrong secret and from a wrong clock", async () => {
  await withServer(async ({ to, credential, strange }) => {
    const well = await findings({ to, key: credential });
    assertMatch(well.answer!, /^ok: 127\.0\.0\.1:\d+ answers with this key/);
    assertEquals(well.clock, "ok: The server's clock and this one agree");
    assertMatch(well.mtu!, /^ok: No router refuses packets of \d+ bytes/);
    assertStringIncludes(
      (await findings({ to, key: strange })).answer!,
      "problem: The server does not know the secret",
    );
    const fast: Clock = { ...common.clock, wallNow: () => common.clock.wallNow() + 600_000 };
    const { answer, clock } = await findings({ to, key: credential }, fast);
    assertMatch(answer!, /^ok/);
    assertMatch(clock!, /^warning: This clock is (599|600|601) s ahead of the server's/);
  });
});
