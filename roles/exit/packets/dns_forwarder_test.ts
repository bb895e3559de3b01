import { assert, assertEquals } from "@std/assert";
import { clockOf } from "../../../protocol/clock.ts";
import { parseIp } from "../../../protocol/ip.ts";
import { formatIp } from "../../../protocol/ip.ts";
import { silentLog } from "../../../protocol/log.ts";
import { randomOf } from "../../../protocol/random.ts";
import { FakeClock } from "../../../testing/fake_clock.ts";
import { freePort } from "../../../testing/program.ts";
import { DnsForwarder, type DnsLimits } from "./dns_forwarder.ts";
import { type NameServer, readDnsMessage, writeDnsMessage } from "./dns_upstream.ts";
import { givenNameServers, parseNameServers, systemNameServers } from "./name_servers.ts";

const LOCAL = parseIp("127.0.0.1")!;
const SERVFAIL = 2;
const REFUSED = 5;

/** A query for the address of `a`, or another name of one letter. */
function query(name = "a", id = 7): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, name.charCodeAt(0), 0, 0, 1, 0, 1);
}

/** The same as an answer with that code. */
function answerTo(query: Uint8Array, code = 0): Uint8Array<ArrayBuffer> {
  const answer = new Uint8Array(query);
  answer.set([0x81, 0x80 | code], 2);
  return answer;
}

type Answering = (query: Uint8Array<ArrayBuffer>) => readonly Uint8Array[] | Promise<readonly Uint8Array[]>;

/** A name server: what `answering` gives for a query is sent. */
class FakeServer implements AsyncDisposable {
  // A port that the kernel does not give to whoever dials just now: it is to be free for TCP as well.
  readonly #socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: freePort() });
  readonly #listener: Deno.TcpListener;
  readonly #answering: Answering;
  readonly #serving: Promise<unknown>;
  readonly ids: number[] = [];

  constructor(answering: Answering = (query) => [answerTo(query)]) {
    this.#answering = answering;
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: this.at.port });
    this.#serving = Promise.all([this.#serveUdp(), this.#serveTcp()]);
  }

  get at(): NameServer {
    return { address: LOCAL, port: (this.#socket.addr as Deno.NetAddr).port };
  }

  async #serveUdp(): Promise<void> {
    for await (const [message, from] of this.#socket) {
      for (const answer of await this.#hear(message)) await this.#socket.send(answer, from);
    }
  }

  async #serveTcp(): Promise<void> {
    for await (const conn of this.#listener) {
      using _conn = conn;
      const message = await readDnsMessage(conn);
      for (const answer of message ? await this.#hear(message) : []) await writeDnsMessage(conn, answer);
    }
  }

  async #hear(message: Uint8Array): Promise<readonly Uint8Array[]> {
    this.ids.push(message[0]! << 8 | message[1]!);
    return await this.#answering(new Uint8Array(message));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    this.#listener.close();
    await this.#serving;
  }
}

function open(servers: readonly NameServer[], limits: DnsLimits = {}): Promise<DnsForwarder> {
  return DnsForwarder.open({
    addresses: [LOCAL],
    port: freePort(),
    servers: () => Promise.resolve(servers),
    clock: clockOf(globalThis),
    random: randomOf(crypto),
    log: silentLog,
    limits,
  });
}

/** A socket of a client of the forwarder. */
function clientOf(forwarder: DnsForwarder) {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  return {
    ask: (message: Uint8Array) => socket.send(message, forwarder.listening[0]!),
    hear: async () => (await socket.receive())[0],
    [Symbol.dispose]: () => socket.close(),
  };
}

function connectTo(forwarder: DnsForwarder): Promise<Deno.TcpConn> {
  const { hostname, port } = forwarder.listening[0]!;
  return Deno.connect({ hostname, port });
}

Deno.test("a question over UDP is passed on under another id, and its answer comes back under its own", async () => {
  await using server = new FakeServer();
  await using forwarder = await open([server.at]);
  using client = clientOf(forwarder);
  for (let id = 1; id <= 20; id++) {
    await client.ask(query("a", id));
    assertEquals(await client.hear(), answerTo(query("a", id)));
  }
  assert(new Set(server.ids).size > 15, "ids are of chance");
});

Deno.test("a question over TCP goes on over TCP, one after the other on one connection", async () => {
  await using server = new FakeServer();
  await using forwarder = await open([server.at]);
  using conn = await connectTo(forwarder);
  for (const name of ["a", "b"]) {
    await writeDnsMessage(conn, query(name));
    assertEquals(await readDnsMessage(conn), answerTo(query(name)));
  }
});

Deno.test("what does not answer the question is passed over", async () => {
  await using server = new FakeServer((query) => {
    const wrongId = answerTo(query).with(0, query[0]! ^ 1);
    const wrongName = answerTo(query).with(13, "z".charCodeAt(0));
    return [wrongId, wrongName, query, Uint8Array.of(1, 2, 3), answerTo(query, REFUSED)];
  });
  await using forwarder = await open([server.at]);
  using client = clientOf(forwarder);
  await client.ask(query());
  assertEquals(await client.hear(), answerTo(query(), REFUSED));
});

Deno.test("a server that is silent has another one asked", async () => {
  await using silent = new FakeServer(() => []);
  await using server = new FakeServer();
  await using forwarder = await open([silent.at, server.at]);
  using client = clientOf(forwarder);
  await client.ask(query());
  assertEquals(await client.hear(), answerTo(query()));
});

Deno.test("without an answer it is a failure, over TCP too", async () => {
  await using forwarder = await open([]);
  using client = clientOf(forwarder);
  await client.ask(query());
  assertEquals(await client.hear(), answerTo(query(), SERVFAIL));
  using conn = await connectTo(forwarder);
  await writeDnsMessage(conn, query());
  assertEquals(await readDnsMessage(conn), answerTo(query(), SERVFAIL));
});

Deno.test("what is no question ends a connection and is not answered over UDP", async () => {
  await using server = new FakeServer();
  await using forwarder = await open([server.at]);
  using client = clientOf(forwarder);
  await client.ask(answerTo(query()));
  await client.ask(Uint8Array.of(1, 2, 3));
  await client.ask(query("b"));
  assertEquals(await client.hear(), answerTo(query("b")));
  assertEquals(server.ids.length, 1);
  using conn = await connectTo(forwarder);
  await writeDnsMessage(conn, Uint8Array.of(1, 2, 3));
  assertEquals(await readDnsMessage(conn), undefined);
});

Deno.test("a client has only so many questions under way", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  await using server = new FakeServer(async (query) => {
    if (query[13] !== "z".charCodeAt(0)) await promise;
    return [answerTo(query)];
  });
  await using forwarder = await open([server.at], { maxQuestionsPerClient: 1, maxConnectionsPerClient: 1 });
  using client = clientOf(forwarder);
  await client.ask(query("a"));
  await client.ask(query("b"));
  using first = await connectTo(forwarder);
  using second = await connectTo(forwarder);
  assertEquals(await readDnsMessage(second), undefined, "it is closed at once");
  resolve();
  assertEquals(await client.hear(), answerTo(query("a")));
  await client.ask(query("z"));
  assertEquals(await client.hear(), answerTo(query("z")), "the one that was too many was never asked");
  await writeDnsMessage(first, query("z"));
  assertEquals(await readDnsMessage(first), answerTo(query("z")));
});

Deno.test("it stops in the midst of questions", async () => {
  const asked = Promise.withResolvers<void>();
  await using server = new FakeServer(() => {
    asked.resolve();
    return [];
  });
  const forwarder = await open([server.at]);
  using client = clientOf(forwarder);
  await client.ask(query());
  using conn = await connectTo(forwarder);
  await writeDnsMessage(conn, query());
  await asked.promise;
  await forwarder[Symbol.asyncDispose]();
});

Deno.test("name servers are those of resolv.conf, three at most, or the machine itself", () => {
  const read = (text: string) => parseNameServers(text).map(({ address }) => formatIp(address));
  const text = "# nameserver 9.9.9.9\nnameserver 1.1.1.1\nnameserver\tfd00::53 \nsearch x\nnameserver x\n";
  assertEquals(read(text), ["1.1.1.1", "fd00::53"]);
  assertEquals(read("nameserver 1.1.1.1\n".repeat(5)).length, 3);
  assertEquals(read(""), ["127.0.0.1"]);
});

Deno.test("resolv.conf is read anew after a while, not each time", async () => {
  const clock = new FakeClock();
  let reads = 0;
  const servers = systemNameServers(clock, () => Promise.resolve(`nameserver 10.0.0.${++reads}\n`));
  const first = async () => formatIp((await servers())[0]!.address);
  assertEquals([await first(), await first()], ["10.0.0.1", "10.0.0.1"]);
  await clock.advance(10_000);
  assertEquals(await first(), "10.0.0.2");
  assertEquals(await givenNameServers([LOCAL])(), [{ address: LOCAL, port: 53 }]);
});
