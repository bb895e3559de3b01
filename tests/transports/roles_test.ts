/** `culvert kcp` and `culvert vtcp` as processes: who gets in, what gets through, and what each end is told. */

import { assert, assertEquals, assertLess, assertMatch } from "@std/assert";
import { TestDatagrams } from "../../net/proxy/fixtures/test_kit.ts";
import { clockOf } from "../../protocol/clock.ts";
import { encodeDatagramHeader, parseDatagram, SocksCommand, SocksReply } from "../../protocol/socks.ts";
import { parseTarget, readFull, writeAll } from "../../protocol/stream.ts";
import { eventually, within } from "../../testing/waiting.ts";
import { Processes } from "../chaos/fixtures/processes.ts";
import { askSocks, echoes, EchoTarget, Ends, freeUdpPort, reaches, transports } from "./fixtures/ends.ts";

const clock = clockOf(globalThis);
const NEWS_MS = 5000;

for (const transport of transports) {
  const { family } = transport;

  Deno.test(`${family}: who is invited while the server runs gets in, and who is revoked is out`, async () => {
    await using processes = new Processes();
    await using ends = new Ends(processes, transport);
    await using echo = new EchoTarget();
    const port = freeUdpPort();
    const server = await ends.server(port);
    const client = await ends.client([await ends.invite("alice", port)]);
    await eventually("alice gets in", () => reaches(client.addresses.listen!, echo.at));
    await eventually("the client is ready", async () => Object.keys(await client.failing()).length === 0);
    const { conn } = await askSocks(client.addresses.listen!, echo.at);
    assert(await echoes(conn!));
    await ends.revoke("alice");
    await within("its stream ends", hearsTheEnd(conn!), { limitMs: NEWS_MS });
    await eventually("the server says so", async () => /A client was revoked.*alice/.test(await server.log()));
    await eventually("nothing more gets through", async () => {
      const { reply, conn } = await askSocks(client.addresses.listen!, echo.at);
      conn?.close();
      return reply !== 0;
    });
    await ends.invite("alice", port);
    await eventually("the client that has the old secret is told", async () => {
      return /unauthorized|does not know|let in/.test(JSON.stringify(await client.failing()));
    });
  });

  Deno.test(`${family}: a program is told what became of its dial, and each half of a stream ends by itself`, async () => {
    await using processes = new Processes();
    await using ends = new Ends(processes, transport);
    await using echo = new EchoTarget();
    const port = freeUdpPort();
    await ends.server(port);
    const client = await ends.client([await ends.invite("alice", port)]);
    const proxy = client.addresses.listen!;
    await eventually("it gets through", () => reaches(proxy, echo.at));
    assertEquals(
      (await askSocks(proxy, { host: "127.0.0.1", port: freeTcpPort() })).reply,
      SocksReply.refused,
    );
    assertEquals((await askSocks(proxy, { host: "10.1.2.3", port: 80 })).reply, SocksReply.denied);
    const metrics = await client.metrics();
    for (const outcome of ["ok", "refused", "denied"]) {
      assertMatch(metrics, new RegExp(`transport_client_dials_total\\{outcome="${outcome}"\\} 1`));
    }
    const { conn } = await askSocks(proxy, echo.at);
    using stream = conn!;
    await writeAll(stream, new Uint8Array(100_000));
    await stream.closeWrite();
    assert(await readFull(stream, new Uint8Array(100_000)));
    assertEquals(await stream.read(new Uint8Array(1)), null);
  });

  Deno.test(`${family}: a wrong secret is told within 5 s, by the dial, the log and the readiness`, async () => {
    await using processes = new Processes();
    await using ends = new Ends(processes, transport);
    await using echo = new EchoTarget();
    const port = freeUdpPort();
    await ends.server(port);
    const url = await ends.invite("alice", port);
    const wrong = url.replace(/\.[\w-]{43}@/, `.${"A".repeat(43)}@`);
    const client = await ends.client([wrong]);
    const startMs = clock.now();
    const { reply } = await askSocks(client.addresses.listen!, echo.at);
    assert(reply !== 0);
    assertLess(clock.now() - startMs, NEWS_MS);
    assertMatch((await client.failing()).server!, /does not know/);
    assertMatch(await client.log(), /"level":"warn".*does not know/);
  });

  Deno.test(`${family}: while no server answers the client is not ready, and says so`, async () => {
    await using processes = new Processes();
    await using ends = new Ends(processes, transport);
    await using echo = new EchoTarget();
    const port = freeUdpPort();
    const client = await ends.client([await ends.invite("alice", port)]);
    assert((await client.failing()).server);
    const { reply } = await within("an answer", askSocks(client.addresses.listen!, echo.at), { limitMs: 12_000 });
    assert(reply !== 0);
    await ends.server(port);
    await eventually("it gets through", () => reaches(client.addresses.listen!, echo.at));
    assertEquals(await client.failing(), {});
  });

  Deno.test(`${family}: several proxies, forwarded ports of both kinds and UDP ASSOCIATE`, async () => {
    await using processes = new Processes();
    await using ends = new Ends(processes, transport);
    await using echo = new EchoTarget();
    const port = freeUdpPort();
    await ends.server(port);
    const { addresses } = await ends.client([await ends.invite("alice", port)], {
      flags: [
        ...["--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"],
        ...["--forward", `127.0.0.1:0=127.0.0.1:${echo.at.port}`],
        ...["--forward", `udp:127.0.0.1:0=127.0.0.1:${echo.datagramsAt.port}`],
      ],
    });
    await eventually("the first", () => reaches(addresses.listen!, echo.at));
    assert(await reaches(addresses["listen 2"]!, echo.at));
    const [forward] = addresses.forward!.split(" ");
    using stream = await Deno.connect({ hostname: "127.0.0.1", port: parseTarget(forward!)!.port });
    assert(await echoes(stream));
    using local = new TestDatagrams();
    const [udp] = addresses.udp!.split(" ");
    const said = new TextEncoder().encode("who is there");
    const to = { transport: "udp", hostname: "127.0.0.1", port: parseTarget(udp!)!.port } as const;
    await local.socket.send(said, to);
    assertEquals((await within("the answer", local.socket.receive()))[0], said);
    const { conn, bound } = await askSocks(addresses.listen!, { host: "0.0.0.0", port: 0 }, SocksCommand.udpAssociate);
    using _association = conn!;
    const header = encodeDatagramHeader(echo.datagramsAt)!;
    await local.socket.send(Uint8Array.of(...header, ...said), { ...to, port: bound.port });
    const [answer] = await within("the answer", local.socket.receive());
    assertEquals(answer.subarray(parseDatagram(answer)!.dataAt), said);
  });

  for (const combine of ["failover", "balance"] as const) {
    Deno.test(`${family}: of two servers one is killed, and within seconds streams go by the other: ${combine}`, async () => {
      await using processes = new Processes();
      await using ends = new Ends(processes, transport);
      await using echo = new EchoTarget();
      const ports = [freeUdpPort(), freeUdpPort()] as const;
      const first = await ends.server(ports[0], { name: "first" });
      await ends.server(ports[1], { name: "second" });
      const urls = await Promise.all([
        ends.invite("alice", ports[0], { server: "first" }),
        ends.invite("alice", ports[1], { server: "second" }),
      ]);
      const client = await ends.client(urls, { flags: ["--combine", combine] });
      await eventually("it gets through", () => reaches(client.addresses.listen!, echo.at));
      await first.kill();
      const killedMs = clock.now();
      for (let streams = 0; streams < 4; streams++) {
        await eventually("it gets through", () => reaches(client.addresses.listen!, echo.at));
      }
      assertLess(clock.now() - killedMs, 2 * NEWS_MS);
      assertEquals(await client.failing(), {});
    });
  }

  Deno.test(`${family}: a server that is asked to stop lets streams come to their end, and takes no more`, async () => {
    await using processes = new Processes();
    await using ends = new Ends(processes, transport);
    await using echo = new EchoTarget();
    const port = freeUdpPort();
    const server = await ends.server(port);
    const client = await ends.client([await ends.invite("alice", port)]);
    await eventually("it gets through", () => reaches(client.addresses.listen!, echo.at));
    const { conn } = await askSocks(client.addresses.listen!, echo.at);
    using stream = conn!;
    assert(await echoes(stream));
    const stopped = server.program.stop();
    await eventually("it stops", async () => /Stopping/.test(await server.log()));
    assert(await echoes(stream, 300_000));
    stream.close();
    assertEquals(await stopped, 0);
    assertEquals(await client.program.stop(), 0);
  });
}

async function hearsTheEnd(conn: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(1024);
  while (await conn.read(buffer).catch(() => null) !== null);
  conn.close();
}

function freeTcpPort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
