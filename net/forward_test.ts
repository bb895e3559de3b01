import { assert, assertEquals } from "@std/assert";
import { clockOf } from "../protocol/clock.ts";
import { silentLog } from "../protocol/log.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { eventually } from "../testing/waiting.ts";
import { bytesOf, LoopbackPath, TestDatagrams, TestProxy, TestServer, textOf } from "./proxy/fixtures/test_kit.ts";
import { UdpForward, type UdpForwardOptions } from "./udp_forward.ts";

Deno.test("a forwarded port leads every connection to its target, whoever speaks first", async () => {
  using server = new TestServer();
  const target = { host: "target.test", port: server.port };
  await using proxy = new TestProxy({ target });
  using client = await proxy.connect();
  const far = await server.accept();
  await far.send("220 welcome\r\n");
  assertEquals(await client.until("\r\n"), "220 welcome\r\n");
  await client.send("\x05\x01\x00");
  assertEquals(await far.take(3), Uint8Array.of(5, 1, 0));
  await client.conn.closeWrite();
  assertEquals(await far.rest(), "");
  await far.send("bye");
  far.close();
  assertEquals(await client.rest(), "bye");
  assertEquals((proxy.path as LoopbackPath).dialled, [target]);
});

Deno.test("a forwarded port closes the connection when its target cannot be dialled", async () => {
  await using proxy = new TestProxy({ target: { host: "refused.fail", port: 1 } });
  using client = await proxy.connect();
  assertEquals(await client.rest(), "");
});

class Forwarded implements AsyncDisposable {
  readonly path = new LoopbackPath();
  readonly forward: UdpForward;

  constructor(port: number, options: Partial<UdpForwardOptions> = {}) {
    this.forward = new UdpForward({
      listen: { hostname: "127.0.0.1", port: 0 },
      target: { host: "target.test", port },
      path: this.path,
      clock: clockOf(globalThis),
      log: silentLog,
      ...options,
    });
  }

  async send(from: TestDatagrams, text: string): Promise<void> {
    const { port } = this.forward.address;
    await from.socket.send(bytesOf(text), { transport: "udp", hostname: "127.0.0.1", port });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.forward.close();
    await this.forward.closed;
  }
}

async function received(by: TestDatagrams): Promise<{ text: string; from: Deno.NetAddr }> {
  const [datagram, from] = await by.socket.receive();
  return { text: textOf(datagram), from: from as Deno.NetAddr };
}

Deno.test("a forwarded UDP port carries datagrams of several programs, and each its own answers", async () => {
  using target = new TestDatagrams();
  using one = new TestDatagrams();
  using other = new TestDatagrams();
  await using forwarded = new Forwarded(target.port);
  await forwarded.send(one, "from one");
  const first = await received(target);
  await forwarded.send(other, "from the other");
  const second = await received(target);
  assertEquals([first.text, second.text], ["from one", "from the other"]);
  await target.socket.send(bytesOf("to the other"), second.from);
  await target.socket.send(bytesOf("to one"), first.from);
  const answer = await received(one);
  assertEquals(answer.text, "to one");
  assertEquals(answer.from.port, forwarded.forward.address.port);
  assertEquals((await received(other)).text, "to the other");
  assertEquals(forwarded.forward.flowCount, 2);
});

Deno.test("a program of a forwarded UDP port that is silent for long has nothing open any more", async () => {
  using target = new TestDatagrams();
  using program = new TestDatagrams();
  const clock = new FakeClock();
  await using forwarded = new Forwarded(target.port, { clock, idleTimeoutMs: 60_000 });
  await forwarded.send(program, "first");
  const first = await received(target);
  assertEquals(forwarded.forward.flowCount, 1);
  clock.advance(60_001);
  assertEquals(forwarded.forward.flowCount, 0);
  await forwarded.send(program, "second");
  const second = await received(target);
  assertEquals(second.text, "second");
  assert(second.from.port !== first.from.port, "it is opened anew");
});

Deno.test("one program more than a forwarded UDP port has room for ends that which was silent longest", async () => {
  using target = new TestDatagrams();
  await using forwarded = new Forwarded(target.port, { maxFlows: 2 });
  using stack = new DisposableStack();
  const programs = [1, 2, 3].map(() => stack.use(new TestDatagrams()));
  for (const [index, program] of programs.entries()) {
    await forwarded.send(program, `${index}`);
    assertEquals((await received(target)).text, `${index}`);
  }
  await eventually("two are left", () => forwarded.forward.flowCount === 2);
  await forwarded.send(programs[2]!, "again");
  assertEquals((await received(target)).text, "again");
});
