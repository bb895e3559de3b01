/**
 * Proxy and tunnel as two processes, as on two machines: what passes through both, and what each side learns when either
 * process is killed in the middle.
 *
 *   test ─ SOCKS5 ─▶ proxy process ─ WebSocket ─▶ tunnel process ─▶ test's own target
 */

import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { TestDatagrams } from "../net/proxy/fixtures/test_kit.ts";
import { clockOf, deadline } from "../protocol/clock.ts";
import { orAborted } from "../protocol/abort.ts";
import { encodeDatagramHeader, encodeRequest, parseDatagram, parseReply, SocksCommand } from "../protocol/socks.ts";
import { readFull, type Target, writeAll } from "../protocol/stream.ts";
import { listenAddress, Program } from "../testing/program.ts";
import { TempDirectory } from "../testing/temp_directory.ts";

const MAIN = fromFileUrl(new URL("../roles/main.ts", import.meta.url));
/** Within so long each end must hear of the other's death. */
const NEWS_MS = 5000;

function role(name: string, ...flags: string[]): Program {
  const listen = ["--listen", "127.0.0.1:0", "--json"];
  return new Program([Deno.execPath(), "run", "-A", MAIN, name, ...listen, ...flags], { quiet: true });
}

interface Chain extends AsyncDisposable {
  readonly proxy: Program;
  readonly tunnel: Program;
  readonly at: Target;
}

async function startChain(): Promise<Chain> {
  await using resources = new AsyncDisposableStack();
  const policy = resources.use(new TempDirectory()).path("policy.toml");
  await Deno.writeTextFile(policy, 'allow_addresses = ["loopback"]\n');
  const tunnel = resources.use(role("tunnel", "--egress-policy", policy, "--token", "secret"));
  const { host, port } = listenAddress(await tunnel.readJson());
  const proxy = resources.use(role("proxy", "--path", `tunnel+ws://secret@${host}:${port}/`));
  const at = listenAddress(await proxy.readJson());
  const moved = resources.move();
  return { proxy, tunnel, at, [Symbol.asyncDispose]: () => moved.disposeAsync() };
}

/** A SOCKS5 request on a new connection; gives it with the reply's bound address. */
async function ask(at: Target, command: number, target: Target): Promise<{ conn: Deno.TcpConn; bound: Target }> {
  const conn = await Deno.connect({ hostname: at.host, port: at.port });
  await writeAll(conn, Uint8Array.of(5, 1, 0));
  assert(await readFull(conn, new Uint8Array(2)));
  await writeAll(conn, encodeRequest({ command, target })!);
  const reply = new Uint8Array(10);
  assert(await readFull(conn, reply));
  const parsed = parseReply(reply);
  assert(parsed.status === "done" && parsed.value.reply === 0, `reply ${reply[1]}`);
  return { conn, bound: parsed.value.bound };
}

/** Settles when the connection is over, however it tells; rejects if that takes too long. */
async function hearsTheEnd(conn: Deno.TcpConn): Promise<void> {
  using limit = deadline(clockOf(globalThis), NEWS_MS, "hear of the end");
  const buffer = new Uint8Array(64 * 1024);
  const drained = (async () => {
    while (await conn.read(buffer).catch(() => null) !== null);
  })();
  await orAborted(drained, limit.signal);
}

async function endless(conn: Deno.TcpConn): Promise<void> {
  const chunk = new Uint8Array(64 * 1024);
  try {
    for (;;) await writeAll(conn, chunk);
  } catch {
    // The other side has gone, which is what the test is about.
  }
}

for (const victim of ["tunnel", "proxy"] as const) {
  Deno.test(`both ends hear within 5 s that the ${victim} was killed in the middle of a transfer`, async () => {
    await using chain = await startChain();
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const accepting = listener.accept();
    using client = (await ask(chain.at, SocksCommand.connect, { host: "127.0.0.1", port: listener.addr.port })).conn;
    using target = await accepting;
    const sending = endless(target);
    assert(await readFull(client, new Uint8Array(1024 * 1024)), "the transfer is under way");
    chain[victim].crash();
    await Promise.all([hearsTheEnd(client), hearsTheEnd(target)]);
    await sending;
  });
}

Deno.test("datagrams pass through proxy and tunnel and their answers come back", async () => {
  await using chain = await startChain();
  using target = new TestDatagrams();
  using local = new TestDatagrams();
  const announced = { host: "127.0.0.1", port: local.port };
  const { conn, bound } = await ask(chain.at, SocksCommand.udpAssociate, announced);
  using _conn = conn;
  const query = new TextEncoder().encode("who is there");
  const header = encodeDatagramHeader({ host: "127.0.0.1", port: target.port })!;
  const toProxy = { transport: "udp", hostname: bound.host, port: bound.port } as const;
  await local.socket.send(Uint8Array.of(...header, ...query), toProxy);
  const [asked, exit] = await target.socket.receive();
  assertEquals(asked, query);
  await target.socket.send(new TextEncoder().encode("the far end"), exit);
  const [answer] = await local.socket.receive();
  const parsed = parseDatagram(answer)!;
  assertEquals(parsed.address, { host: "127.0.0.1", port: target.port });
  assertEquals(new TextDecoder().decode(answer.subarray(parsed.dataAt)), "the far end");
});
