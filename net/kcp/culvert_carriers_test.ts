/**
 * Our own dialect over real carriers, and what a server of it holds for clients that do nothing.
 */

import { assertEquals, assertLessOrEqual, assertRejects } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { clockOf } from "../../protocol/clock.ts";
import { DialError } from "../../protocol/errors.ts";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import type { PacketCarrier } from "../../protocol/packet_carrier.ts";
import { randomOf } from "../../protocol/random.ts";
import {
  drawSecretText,
  parseCredential,
  parseNamedSecret,
  parseServerKey,
} from "../../protocol/sealed_packets/credentials.ts";
import { testWith } from "../../testing/requirements.ts";
import { Program } from "../../testing/program.ts";
import { eventually, within } from "../../testing/waiting.ts";
import { type CarrierOptions, openCarrier } from "../packets/open_carrier.ts";
import { openDatagramCarrier } from "../packets/udp_carrier.ts";
import { openSealCrypto } from "../seal_crypto.ts";
import { type CulvertKcpOptions, CulvertKcpPath } from "./culvert_client.ts";
import { CulvertKcpServer } from "./culvert_server.ts";
import { echoes, echoesOn, EchoPath } from "./fixtures/culvert_rig.ts";

const clock = clockOf(globalThis);
const random = randomOf(crypto);
const common = { clock, random, log: silentLog, metrics: noMetrics };
const LOOPBACK = "127.0.0.1";
const IDLE_CLIENTS = 200;
const MOST_BYTES_PER_CLIENT = 64 * 1024;

const CARRIERS = [
  { name: "UDP in the kernel's batches", kind: "udp", needs: {}, open: openCarrier },
  {
    name: "UDP datagram by datagram",
    kind: "udp",
    needs: {},
    open: (options: CarrierOptions) => Promise.resolve(openDatagramCarrier(options)),
  },
  { name: "packets that look like TCP", kind: "raw", needs: { root: true }, open: openCarrier },
] as const;

/** A server on that many ports, whatever they are. */
async function serverOn(carriers: readonly PacketCarrier[]) {
  const sealing = await openSealCrypto();
  const key = parseServerKey(sealing, drawSecretText(random));
  const client = parseNamedSecret(`one=${drawSecretText(random)}`);
  const server = new CulvertKcpServer({
    ...common,
    carriers,
    crypto: sealing,
    server: key,
    clients: [client],
    onward: new EchoPath(),
  });
  return { server, sealing, credential: { serverPublicKey: key.publicKey, secret: client.secret } };
}

function pathTo(
  port: number,
  options: Pick<CulvertKcpOptions, "credential"> & Partial<CulvertKcpOptions>,
): CulvertKcpPath {
  return new CulvertKcpPath({
    ...common,
    server: { host: LOOPBACK, ports: port },
    openCarrier: (host) => openCarrier({ kind: "udp", peer: { host, ports: port }, ...common }),
    ...options,
  });
}

for (const { name, kind, needs, open } of CARRIERS) {
  testWith(needs, `over ${name}: streams go through, ports change meanwhile, and the far end may end`, async () => {
    const carrier = await open({ kind, listen: { host: LOOPBACK }, ...common });
    const [port] = carrier.localPorts as [number];
    const { server, sealing, credential } = await serverOn([carrier]);
    let opened = 0;
    const openOwn = (host: string) => {
      opened++;
      return open({ kind, peer: { host, ports: port }, ...common });
    };
    const path = pathTo(port, { credential, hopMs: 200, openCarrier: openOwn });
    try {
      await within("the echo of 10 MB", echoes(path, random.fill(new Uint8Array(10_000_000))));
      await eventually("the port has changed", () => opened > 2);
      using datagrams = await path.datagrams();
      await datagrams.send(Uint8Array.of(1, 2), { host: "far", port: 53 });
      assertEquals((await within("the datagram", datagrams.receive(new Uint8Array(10))))?.length, 2);
      const refused = await assertRejects(() => path.dial({ host: "refused.fails", port: 1 }), DialError);
      assertEquals(refused.code, "refused");
      const stream = await path.dial({ host: "echo", port: 7 });
      await echoesOn(stream, Uint8Array.of(3));
      server.close();
      await within("the stream has failed", assertRejects(() => stream.read(new Uint8Array(1))));
      stream.close();
    } finally {
      path.close();
      await path.closed();
      server.close();
      await server.closed();
      sealing[Symbol.dispose]();
    }
  });
}

Deno.test("a server on several ports serves sessions on each, and replayed and forged packets stop none of them", async () => {
  const carriers = await Promise.all(
    Array.from({ length: 3 }, () => openCarrier({ kind: "udp", listen: { host: LOOPBACK }, ...common })),
  );
  const { server, sealing, credential } = await serverOn(carriers);
  const paths = carriers.map((carrier) => pathTo(carrier.localPorts[0]!, { credential }));
  const forger = Deno.listenDatagram({ transport: "udp", hostname: LOOPBACK, port: 0 });
  const answers: number[] = [];
  const listening = (async () => {
    for await (const [bytes] of forger) answers.push(bytes.length);
  })();
  try {
    const streams = await Promise.all(paths.map((path) => path.dial({ host: "echo", port: 7 })));
    const held = server.heldCount;
    for (let round = 0; round < 3000; round++) {
      const bytes = random.fill(new Uint8Array(1 + round % 1400));
      await forger.send(bytes, { transport: "udp", hostname: LOOPBACK, port: carriers[round % 3]!.localPorts[0]! });
    }
    await within(
      "echoes",
      Promise.all(streams.map((stream) => echoesOn(stream, random.fill(new Uint8Array(100_000))))),
    );
    assertEquals(server.heldCount, held);
    assertEquals(answers, []);
    for (const stream of streams) stream.close();
  } finally {
    for (const path of paths) path.close();
    await Promise.all(paths.map((path) => path.closed()));
    server.close();
    await server.closed();
    sealing[Symbol.dispose]();
    forger.close();
    await listening;
  }
});

Deno.test("a session goes round the ports of a server that listens on a span of them", async () => {
  const carrier = await onSpan(4);
  const span = { first: carrier.localPorts[0]!, count: 4 };
  const { server, sealing, credential } = await serverOn([carrier]);
  const used = new Set<number>();
  const path = pathTo(span.first, {
    credential,
    hopMs: 100,
    server: { host: LOOPBACK, ports: span },
    openCarrier: (host) => openCarrier({ kind: "udp", peer: { host, ports: span }, ...common }),
  });
  const stream = await within("a stream", path.dial({ host: "echo", port: 7 }));
  try {
    for (let round = 0; round < 1000 && used.size < 3; round++) {
      await within("an echo", echoesOn(stream, random.fill(new Uint8Array(50_000))));
      for (const { place } of server.status.sessions) used.add(Number(place.split(">")[1]));
    }
    assertEquals(used.size, 3);
    assertEquals(server.sessionCount, 1);
  } finally {
    stream.close();
    path.close();
    await path.closed();
    server.close();
    await server.closed();
    sealing[Symbol.dispose]();
  }
});

/** A carrier on ports that follow one another and are free. */
async function onSpan(count: number): Promise<PacketCarrier> {
  for (let attempt = 0;; attempt++) {
    const first = 20_000 + Math.floor(random.next() * 10_000);
    try {
      return await openCarrier({ kind: "udp", listen: { host: LOOPBACK, ports: { first, count } }, ...common });
    } catch (error) {
      if (attempt === 20) throw error;
    }
  }
}

function serverProgram(...args: string[]): Program {
  return new Program([
    Deno.execPath(),
    "run",
    "-A",
    "--no-check",
    "--v8-flags=--expose-gc",
    fromFileUrl(new URL("./fixtures/culvert_program.ts", import.meta.url)),
    ...args,
  ]);
}

Deno.test("a server that was killed is found again when it runs again, on its port and with its keys", async () => {
  const [key, secret] = [drawSecretText(random), drawSecretText(random)];
  const first = serverProgram("0", key, secret);
  const { port, credential } = await first.readJson() as { port: number; credential: string };
  const path = pathTo(port, { credential: parseCredential(credential) });
  try {
    const stream = await within("a stream", path.dial({ host: "echo", port: 7 }));
    await within("an echo", echoesOn(stream, random.fill(new Uint8Array(10_000))));
    Deno.kill(first.pid, "SIGKILL");
    await first[Symbol.asyncDispose]();
    await using second = serverProgram(`${port}`, key, secret);
    await second.readJson();
    await within("the old stream has failed", assertRejects(() => stream.read(new Uint8Array(1))));
    stream.close();
    await within("an echo", echoes(path, random.fill(new Uint8Array(10_000))));
    path.close();
    await path.closed();
  } finally {
    path.close();
    await path.closed();
    await first[Symbol.asyncDispose]();
  }
});

Deno.test(`a server holds at most 64 KiB for each of ${IDLE_CLIENTS} idle clients`, async () => {
  await using program = serverProgram();
  const { port, credential } = await program.readJson() as { port: number; credential: string };
  using sealing = await openSealCrypto();
  const ask = async () => await program.ask("weigh") as { heldBytes: number; sessions: number };
  const connect = () => {
    const openClient = () =>
      Promise.resolve(openDatagramCarrier({
        kind: "udp",
        peer: { host: LOOPBACK, ports: port },
        ...common,
      }));
    return pathTo(port, { credential: parseCredential(credential), crypto: sealing, openCarrier: openClient });
  };
  const paths = [connect()];
  try {
    // The first has its code made and its tables begun.
    await within("the first client is up", paths[0]!.ready());
    const before = await ask();
    for (let count = 1; count < IDLE_CLIENTS; count++) paths.push(connect());
    await within("all clients are up", Promise.all(paths.map((path) => path.ready())));
    const after = await ask();
    assertEquals(after.sessions, IDLE_CLIENTS);
    const perClient = (after.heldBytes - before.heldBytes) / (IDLE_CLIENTS - 1);
    assertLessOrEqual(perClient, MOST_BYTES_PER_CLIENT);
  } finally {
    for (const path of paths) path.close();
    await Promise.all(paths.map((path) => path.closed()));
  }
});
