/** The tools against Debian's kcptun and on the network of a namespace. */

import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import type { z } from "zod";
import { CulvertError } from "../../protocol/errors.ts";
import { clockOf } from "../../protocol/clock.ts";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import { randomOf } from "../../protocol/random.ts";
import { parseCredential } from "../../protocol/sealed_packets/credentials.ts";
import { testWith } from "../../testing/requirements.ts";
import { eventually, within } from "../../testing/waiting.ts";
import { doctorConfig, runDoctor } from "./doctor.ts";
import { dumpConfig, runDump } from "./dump.ts";
import { type FarPlace, parseFarPlace, type ToolContext } from "./far_end.ts";
import { pingConfig, runPing } from "./ping.ts";
import { runSecret, secretConfig } from "./secret.ts";

interface Printed extends ToolContext {
  readonly lines: string[];
}

function context(options: Partial<ToolContext> = {}): Printed {
  const lines: string[] = [];
  return {
    clock: clockOf(globalThis),
    random: randomOf(crypto),
    log: silentLog,
    metrics: noMetrics,
    signal: new AbortController().signal,
    json: false,
    print: (line) => void lines.push(line),
    lines,
    ...options,
  };
}

/** Settings as the command line gives them. */
function settings<S extends z.ZodType>(schema: S, given: Record<string, unknown>): z.output<S> {
  return schema.parse(given);
}

Deno.test("places of the far end are read", () => {
  const span = (host: string, first: number, count = 1): FarPlace => ({ host, ports: { first, count } });
  const rows: readonly (readonly [text: string, place: FarPlace | undefined])[] = [
    ["example.com:443", span("example.com", 443)],
    ["192.0.2.1:45000-45007", span("192.0.2.1", 45_000, 8)],
    ["[2001:db8::1]:9", span("2001:db8::1", 9)],
    ["[192.0.2.1]:9", undefined],
    ["2001:db8::1:9", undefined],
    ["example.com", undefined],
    ["example.com:0", undefined],
    ["example.com:9-8", undefined],
  ];
  for (const [text, place] of rows) assertEquals(parseFarPlace(text), place, text);
});

Deno.test("secrets are made for every kind", async () => {
  const passphrase = context();
  await runSecret(settings(secretConfig, { kind: "passphrase" }), passphrase);
  assertMatch(passphrase.lines.join(), /^[0-9a-f]{64}$/);

  const server = context({ json: true });
  await runSecret(settings(secretConfig, { kind: "server" }), server);
  const { serverKey, serverPublicKey } = JSON.parse(server.lines[0]!);

  const client = context({ json: true });
  await runSecret(settings(secretConfig, { name: "phone", serverKey }), client);
  const made = JSON.parse(client.lines[0]!);
  assertMatch(made.client, /^phone=[\w-]{43}$/);
  assertEquals(made.credential, `${serverPublicKey}.${made.client.slice("phone=".length)}`);
  parseCredential(made.credential);

  await assertRejects(
    () => runSecret(settings(secretConfig, { name: "a b" }), context()),
    CulvertError,
    "the name of letters",
  );
  await assertRejects(
    () => runSecret(settings(secretConfig, { kind: "server", name: "x" }), context()),
    CulvertError,
    "are for a client's",
  );
});

/** A kcptun server of Debian's at a free port, with the key "k". */
async function withKcptun(run: (place: string) => Promise<void>, ...flags: string[]): Promise<void> {
  const port = freeUdpPort();
  const child = new Deno.Command("kcptun-server", {
    args: ["-l", `127.0.0.1:${port}`, "-t", "127.0.0.1:9", "--key", "k", ...flags],
    stdout: "null",
    stderr: "null",
  }).spawn();
  try {
    await eventually("kcptun listens", async () => (await Deno.readTextFile("/proc/net/udp")).includes(hexPort(port)));
    await run(`127.0.0.1:${port}`);
  } finally {
    child.kill("SIGKILL");
    await child.status;
  }
}

function freeUdpPort(): number {
  using socket = closing(Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 }));
  return (socket.conn.addr as Deno.NetAddr).port;
}

function closing(conn: Deno.DatagramConn): { readonly conn: Deno.DatagramConn } & Disposable {
  return { conn, [Symbol.dispose]: () => conn.close() };
}

function hexPort(port: number): string {
  return `:${port.toString(16).toUpperCase().padStart(4, "0")} 00000000:0000`;
}

for (const flags of [["--crypt", "aes"], ["--crypt", "none", "--ds", "0", "--ps", "0"], ["--crypt", "salsa20"]]) {
  testWith({ tools: ["kcptun-server"] }, `kcptun answers pings: ${flags.join(" ")}`, async () => {
    await withKcptun(async (to) => {
      const printed = context({ json: true });
      const crypt = flags[1];
      const dialect = "kcptun";
      await runPing(
        settings(pingConfig, { to, dialect, key: "k", crypt, count: 2, every: "10ms", mtu: true }),
        printed,
      );
      const { answered, mtu, meanMs } = JSON.parse(printed.lines.at(-1)!);
      assertEquals([answered, mtu.pathBytes], [2, 1500]);
      assert(meanMs < 1000);
    }, ...flags);
  });
}

testWith({ tools: ["kcptun-server"] }, "a ping with another key says that nothing comes back", async () => {
  await withKcptun(async (to) => {
    const printed = context();
    const config = settings(pingConfig, { to, dialect: "kcptun", key: "wrong", count: 1, timeout: "300ms" });
    await assertRejects(() => runPing(config, printed), CulvertError, "nothing comes back");
    assertEquals(printed.lines, ["1: no answer", "0 of 1 answered"]);
  });
});

const seesPackets = { root: true, tools: ["kcptun-server"] };

testWith(seesPackets, "a dump shows what is in packets, and ends after as many as asked for", async () => {
  await withKcptun(async (to) => {
    const dumped = context(), other = context({ json: true });
    const ports = to.split(":")[1]!;
    const dumping = runDump(settings(dumpConfig, { ports, key: "k", count: 4 }), dumped);
    const strange = runDump(settings(dumpConfig, { ports, key: "other", count: 1 }), other);
    const config = settings(pingConfig, { to, dialect: "kcptun", key: "k", count: 2, every: "10ms" });
    await runPing(config, context());
    await within("packets to be seen", Promise.all([dumping, strange]));
    // Loopback shows each twice.
    assertMatch(
      dumped.lines[0]!,
      /^\d\d:\d\d:\d\d\.\d{3} out 127\.0\.0\.1:\d+ > 127\.0\.0\.1:\d+ UDP, \d+ bytes, opened: KCP \w+ PUSH sn 0 una 0 wnd 128$/,
    );
    assertMatch(dumped.lines.join("\n"), /FEC data \| KCP \w+ ACK sn 0/);
    const [story] = other.lines.map((line) => JSON.parse(line));
    assertEquals([story.protocol, story.isOpened], ["udp", false]);
  });
});

testWith(seesPackets, "a doctor finds a server well", async () => {
  await withKcptun(async (to) => {
    const printed = context();
    await runDoctor(settings(doctorConfig, { to, dialect: "kcptun", key: "k" }), printed);
    const text = printed.lines.join("\n");
    assertStringIncludes(text, "ok       way       Packets to 127.0.0.1 leave by lo from 127.0.0.1");
    assertMatch(text, /^ok {7}answer {4}127\.0\.0\.1:\d+ answers with this key, in [\d.]+ ms at best$/m);
    assertStringIncludes(text, "ok       mtu       Packets of up to 1500 bytes get there");
  });
});

testWith(seesPackets, "a doctor says that keys may differ, and that nobody is there", async () => {
  await withKcptun(async (to) => {
    const printed = context({ json: true });
    const config = settings(doctorConfig, { to, dialect: "kcptun", key: "wrong" });
    const error = await assertRejects(() => runDoctor(config, printed), CulvertError, "Found what is wrong: answer");
    assertEquals(error.code, "problems_found");
    const { findings } = JSON.parse(printed.lines[0]!);
    const answer = findings.find(({ check }: { check: string }) => check === "answer");
    assertStringIncludes(answer.says, "the keys differ");
    assertStringIncludes(answer.advice, "--listen");
  });
  const printed = context();
  const config = settings(doctorConfig, { to: `127.0.0.1:${freeUdpPort()}`, dialect: "kcptun", key: "k" });
  await assertRejects(() => runDoctor(config, printed), CulvertError);
  assertStringIncludes(printed.lines.join("\n"), "is there, and nobody receives UDP on that port");
});

testWith(seesPackets, "a doctor on a server says whether what comes is sealed with the key", async () => {
  await withKcptun(async (to) => {
    const listen = to.split(":")[1]!;
    const look = async (key: string) => {
      const printed = context();
      const config = settings(doctorConfig, { listen, dialect: "kcptun", key, watch: "500ms" });
      const looking = runDoctor(config, printed).catch((error: CulvertError) => error.code);
      const ping = settings(pingConfig, { to, dialect: "kcptun", key: "k", count: 8, every: "100ms" });
      await runPing(ping, context());
      assertEquals(await looking, key === "k" ? undefined : "problems_found");
      return printed.lines.join("\n");
    };
    assertMatch(await look("k"), /packets came in 0\.5 s, most from 127\.0\.0\.1, all sealed with this key/);
    assertMatch(await look("other"), /PROBLEM {2}arrivals {2}.*none sealed with this key: the keys differ/);
  });
});

Deno.test("a doctor wants to know which side it is on", async () => {
  for (const given of [{}, { to: "127.0.0.1:9", listen: "9" }]) {
    await assertRejects(
      () => runDoctor(settings(doctorConfig, given), context()),
      CulvertError,
      "give the server on a client",
    );
  }
});
