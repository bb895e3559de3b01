import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { DialError, type DialFailure } from "../protocol/errors.ts";
import { type EgressPolicy, policyOf, type PolicySource } from "../protocol/egress_policy.ts";
import { parseIp } from "../protocol/ip.ts";
import { type Stream, writeAll } from "../protocol/stream.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { LogCollector } from "../testing/log_collector.ts";
import { direct, type DirectOptions } from "./egress.ts";
import { memoryStreamPair } from "./memory.ts";
import type { Resolver } from "./resolve.ts";

/** Answers from a script: each call takes the next answer, the last one repeats. */
class ScriptedResolver implements Resolver {
  calls = 0;
  readonly #answers: readonly (readonly string[])[];

  constructor(...answers: readonly (readonly string[])[]) {
    this.#answers = answers;
  }

  resolve(): Promise<Uint8Array<ArrayBuffer>[]> {
    const answer = this.#answers[Math.min(this.calls++, this.#answers.length - 1)]!;
    return Promise.resolve(answer.map((text) => parseIp(text)!));
  }
}

/** Connects to nothing: records what was dialled and keeps the far ends. */
class Wire {
  readonly dialled: string[] = [];
  readonly far: Stream[] = [];
  readonly connect: NonNullable<DirectOptions["connect"]> = ({ hostname, port }) => {
    this.dialled.push(`${hostname} ${port}`);
    const [near, far] = memoryStreamPair(1024 * 1024);
    this.far.push(far);
    return Promise.resolve(near);
  };
}

function egress(policy: EgressPolicy | PolicySource, options: DirectOptions = {}) {
  const wire = new Wire();
  const clock = new FakeClock();
  const path = direct(policy, { clock, connect: wire.connect, ownAddresses: () => ["203.0.114.9"], ...options });
  return { path, wire, clock };
}

async function failureOf(dial: Promise<Stream>): Promise<DialFailure> {
  return (await assertRejects(() => dial, DialError)).code;
}

/** A policy that a test can replace. */
class ChangingPolicy implements PolicySource {
  #current: EgressPolicy;
  readonly #listeners = new Set<() => void>();

  constructor(current: EgressPolicy) {
    this.#current = current;
  }

  get current(): EgressPolicy {
    return this.#current;
  }

  change(policy: EgressPolicy): void {
    this.#current = policy;
    for (const listener of this.#listeners) listener();
  }

  subscribe(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }
}

Deno.test("what is logged of dials never says where to", async () => {
  const log = new LogCollector();
  const { path } = egress(policyOf(), { log, resolver: new ScriptedResolver([]) });
  using _path = path;
  for (const host of ["secret.example", "10.1.2.3"]) await failureOf(path.dial({ host, port: 4711 }));
  assertEquals(log.text(), "debug A dial failed code=unresolved\ndebug A dial failed code=denied");
});

Deno.test("no spelling of a closed address is dialled or resolved", async () => {
  const resolver = new ScriptedResolver(["1.1.1.1"]);
  const { path, wire } = egress(policyOf(), { resolver });
  using _path = path;
  for (
    const host of [
      "127.0.0.1",
      "2130706433",
      "0177.0.0.1",
      "0x7f.1",
      "127.1",
      "127.0.0.1.",
      "0",
      "::1",
      "[::1]",
      "::ffff:127.0.0.1",
      "::ffff:8.8.8.8",
      "64:ff9b::8.8.8.8",
      "2002:7f00:1::",
      "2001:0:1::1",
      "169.254.169.254",
      "0xa9fea9fe",
      "10.0.0.1",
      "100.64.0.1",
      "fd00::1",
      "fe80::1",
      "203.0.114.9",
    ]
  ) assertEquals(await failureOf(path.dial({ host, port: 80 })), "denied", host);
  for (const host of ["", "fe80::1%lo", "1.2.3.4.5", "a b", "１２７.0.0.1", "4294967296"]) {
    assertEquals(await failureOf(path.dial({ host, port: 80 })), "unresolved", host);
  }
  assertEquals(wire.dialled, []);
  assertEquals(resolver.calls, 0);
});

Deno.test("a name that leads to closed addresses only is denied by class, without telling the address", async () => {
  const { path, wire } = egress(policyOf(), { resolver: new ScriptedResolver(["192.168.1.1", "fd00::1"]) });
  using _path = path;
  const error = await assertRejects(() => path.dial({ host: "router.example", port: 80 }), DialError);
  assertEquals([error.code, error.message], ["denied", "Cannot dial: private addresses are closed"]);
  assertEquals(wire.dialled, []);
});

Deno.test("of a mixed answer only the open addresses are dialled, in canonical text", async () => {
  const answer = ["10.0.0.1", "2606:4700:0:0::1", "127.0.0.1", "1.1.1.1", "::1"];
  const { path, wire } = egress(policyOf(), { resolver: new ScriptedResolver(answer) });
  using _path = path;
  await path.dial({ host: "mixed.example", port: 443 });
  assertEquals(wire.dialled, ["2606:4700::1 443"]);
});

Deno.test("a resolver that changes its answer is asked once, and what it said then is what is dialled", async () => {
  const resolver = new ScriptedResolver(["1.1.1.1"], ["127.0.0.1"]);
  const { path, wire } = egress(policyOf(), { resolver });
  using _path = path;
  await path.dial({ host: "rebind.example", port: 80 });
  assertEquals([resolver.calls, wire.dialled], [1, ["1.1.1.1 80"]]);
  assertEquals(await failureOf(path.dial({ host: "rebind.example", port: 80 })), "denied");
  assertEquals([resolver.calls, wire.dialled.length], [2, 1]);
});

Deno.test("port 25 and denied hosts are refused before anything is resolved", async () => {
  const resolver = new ScriptedResolver(["1.1.1.1"]);
  const policy = policyOf({ ports: { allow: ["1-65535"] }, hosts: ["deny *.bad.example"] });
  const { path } = egress(policy, { resolver });
  using _path = path;
  assertEquals(await failureOf(path.dial({ host: "mail.example", port: 25 })), "denied");
  assertEquals(await failureOf(path.dial({ host: "1.1.1.1", port: 25 })), "denied");
  assertEquals(await failureOf(path.dial({ host: "WWW.Bad.Example.", port: 80 })), "denied");
  assertEquals(await failureOf(path.dial({ host: "example.com", port: 0 })), "denied");
  assertEquals(resolver.calls, 0);
});

Deno.test("a name without addresses is unresolved", async () => {
  const { path } = egress(policyOf(), { resolver: new ScriptedResolver([]) });
  using _path = path;
  assertEquals(await failureOf(path.dial({ host: "nowhere.example", port: 80 })), "unresolved");
});

Deno.test("an address literal is dialled at once, with no timer beyond the shared deadline", async () => {
  const { path, wire, clock } = egress(policyOf());
  const stream = await path.dial({ host: "1.1.1.1", port: 80 });
  assertEquals(wire.dialled, ["1.1.1.1 80"]);
  assert(clock.pendingTimers <= 1);
  stream.close();
  path.close();
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("a dial ends with timeout at its deadline, and each dial has its own", async () => {
  const signals: AbortSignal[] = [];
  const { path, clock } = egress(policyOf(), {
    dialTimeoutMs: 1000,
    connect: ({ signal }) =>
      new Promise((_, reject) => {
        signals.push(signal!);
        signal!.addEventListener("abort", () => reject(signal!.reason));
      }),
  });
  using _path = path;
  const first = failureOf(path.dial({ host: "1.1.1.1", port: 80 }));
  await clock.advanceAsync(600);
  const second = failureOf(path.dial({ host: "1.1.1.2", port: 80 }));
  await clock.advanceAsync(400);
  assertEquals(await first, "timeout");
  assertEquals(signals.map((signal) => signal.aborted), [true, false]);
  await clock.advanceAsync(600);
  assertEquals(await second, "timeout");
});

Deno.test("a blackholed v6 address gives way to v4 after 250 ms, and the rest of the race is aborted", async () => {
  const aborted: string[] = [];
  const { path, clock } = egress(policyOf(), {
    resolver: new ScriptedResolver(["1.1.1.1", "2606:4700::1"]),
    connect: ({ hostname, signal }) => {
      if (!hostname.includes(":")) return Promise.resolve(memoryStreamPair()[0]);
      return new Promise((_, reject) =>
        signal!.addEventListener("abort", () => {
          aborted.push(hostname);
          reject(signal!.reason);
        })
      );
    },
  });
  using _path = path;
  let connected = false;
  const dial = path.dial({ host: "dual.example", port: 80 }).then(() => connected = true);
  await clock.advanceAsync(249);
  assertEquals(connected, false);
  await clock.advanceAsync(1);
  await dial;
  assertEquals(aborted, ["2606:4700::1"]);
});

Deno.test("a caller who gives up aborts the dial", async () => {
  const caller = new AbortController();
  const { path } = egress(policyOf(), {
    connect: ({ signal }) =>
      new Promise((_, reject) => signal!.addEventListener("abort", () => reject(signal!.reason))),
  });
  using _path = path;
  const dial = path.dial({ host: "1.1.1.1", port: 80 }, { signal: caller.signal });
  caller.abort(new Error("never mind"));
  await assertRejects(() => dial, DialError);
});

Deno.test("at most the sixteen first addresses of a name are tried", async () => {
  const tried: string[] = [];
  const many = Array.from({ length: 100 }, (_, at) => `1.1.1.${at}`);
  const { path } = egress(policyOf(), {
    resolver: new ScriptedResolver(many),
    connect: ({ hostname }) => {
      tried.push(hostname);
      return Promise.reject(new DialError("refused", "no"));
    },
  });
  using _path = path;
  assertEquals(await failureOf(path.dial({ host: "many.example", port: 80 })), "refused");
  assertEquals(tried.length, 16);
});

Deno.test("the cap on connections answers busy and lets the next in when one closes", async () => {
  const { path } = egress(policyOf({ limits: { max_connections: 2 } }));
  using _path = path;
  const dial = () => path.dial({ host: "1.1.1.1", port: 80 });
  const first = await dial();
  await dial();
  assertEquals(await failureOf(dial()), "busy");
  first.close();
  first.close();
  await dial();
  assertEquals(await failureOf(dial()), "busy");
});

Deno.test("connections under way count towards the cap", async () => {
  const { path } = egress(policyOf({ limits: { max_connections: 1 } }));
  using _path = path;
  const [one, other] = await Promise.allSettled([1, 2].map(() => path.dial({ host: "1.1.1.1", port: 80 })));
  assertEquals([one!.status, other!.status], ["fulfilled", "rejected"]);
});

Deno.test("the cap on connections a second answers busy until the next second's", async () => {
  const { path, clock } = egress(policyOf({ limits: { max_connections_per_second: 2 } }));
  using _path = path;
  const dial = () => path.dial({ host: "1.1.1.1", port: 80 });
  await dial();
  await dial();
  assertEquals(await failureOf(dial()), "busy");
  clock.advance(500);
  await dial();
  assertEquals(await failureOf(dial()), "busy");
});

Deno.test("writes are held to the upload rate, shared by all connections", async () => {
  const { path, wire, clock } = egress(policyOf({ limits: { max_upload_bytes_per_second: 10_000 } }));
  using _path = path;
  const streams = [await path.dial({ host: "1.1.1.1", port: 80 }), await path.dial({ host: "1.1.1.1", port: 80 })];
  let doneAtMs = 0;
  const writing = Promise.all(streams.map((stream) => writeAll(stream, new Uint8Array(10_000))))
    .then(() => doneAtMs = clock.now());
  await clock.advanceAsync(3_000);
  await writing;
  assertAlmostEquals(doneAtMs, 1_900, 5); // 20,000 bytes less the burst of 1,000
  const buffer = new Uint8Array(20_000);
  assertEquals([await wire.far[0]!.read(buffer), await wire.far[1]!.read(buffer)], [10_000, 10_000]);
});

Deno.test("a write that is closed while it waits leaves its share of the rate to the others", async () => {
  const { path, clock } = egress(policyOf({ limits: { max_upload_bytes_per_second: 10_000 } }));
  using _path = path;
  const dial = () => path.dial({ host: "1.1.1.1", port: 80 });
  const given = await Promise.all(Array.from({ length: 20 }, dial));
  const waiting = Promise.allSettled(given.map((stream) => stream.write(new Uint8Array(1_000))));
  for (const stream of given) stream.close();
  await waiting;
  const startMs = clock.now();
  let doneAtMs = NaN;
  const writing = (await dial()).write(new Uint8Array(1_000)).then(() => doneAtMs = clock.now());
  await clock.advanceAsync(3_000);
  await writing;
  assertEquals(doneAtMs - startMs, 0);
});

Deno.test("reads are held to the download rate, and close ends a wait", async () => {
  const { path, wire, clock } = egress(policyOf({ limits: { max_download_bytes_per_second: 1_000 } }));
  using _path = path;
  const stream = await path.dial({ host: "1.1.1.1", port: 80 });
  await writeAll(wire.far[0]!, new Uint8Array(1_000));
  const buffer = new Uint8Array(10_000);
  assertEquals(await stream.read(buffer), 100);
  const second = stream.read(buffer);
  await clock.advanceAsync(99);
  let isHeld = true;
  second.then(() => isHeld = false);
  await clock.advanceAsync(0);
  assertEquals(isHeld, true);
  await clock.advanceAsync(2);
  assertEquals(await second, 100);
  const third = stream.read(buffer);
  await clock.advanceAsync(0);
  stream.close();
  await assertRejects(() => third, Error, "after close()");
});

Deno.test("without byte rates the connection itself is handed out, its reads and writes untouched", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  using path = direct(policyOf({ allow_addresses: ["loopback"] }));
  const stream = await path.dial({ host: "127.0.0.1", port: listener.addr.port });
  using _served = await listener.accept();
  assertEquals(stream.constructor.name, "TcpConn");
  assertEquals(Object.keys(stream), ["close"]);
  stream.close();
  stream.close();
});

Deno.test("closing the egress closes its connections and refuses new ones", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const path = direct(policyOf({ allow_addresses: ["loopback"] }));
  await path.dial({ host: "127.0.0.1", port: listener.addr.port });
  using served = await listener.accept();
  path.close();
  path.close();
  assertEquals(await served.read(new Uint8Array(1)), null);
  assertEquals(await failureOf(path.dial({ host: "127.0.0.1", port: listener.addr.port })), "path_down");
});

Deno.test("a connection that completes as the egress closes is closed too", async () => {
  const connected = Promise.withResolvers<Stream>();
  const { path, clock } = egress(policyOf(), { connect: () => connected.promise });
  const dial = failureOf(path.dial({ host: "1.1.1.1", port: 80 }));
  await clock.advanceAsync(0);
  const [near, far] = memoryStreamPair();
  path.close();
  connected.resolve(near);
  assertEquals(await dial, "path_down");
  assertEquals(await far.read(new Uint8Array(1)), null);
});

Deno.test("a name in the hosts file is resolved by the system, and its loopback address is closed by default", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const target = { host: "localhost", port: listener.addr.port };
  using closed = direct(policyOf());
  assertEquals(await failureOf(closed.dial(target)), "denied");
  using open = direct(policyOf({ allow_addresses: ["loopback"] }));
  await open.dial(target);
  using _served = await listener.accept();
});

Deno.test("a port where nothing listens is refused, whichever family", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  using path = direct(policyOf({ allow_addresses: ["loopback"] }));
  assertEquals(await failureOf(path.dial({ host: "127.0.0.1", port })), "refused");
  assertEquals(await failureOf(path.dial({ host: "localhost", port })), "refused");
});

Deno.test("a host that does not answer is a timeout", async () => {
  // A listener whose queue is full lets further connects hang, on loopback as anywhere.
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1 } as Deno.TcpListenOptions);
  using path = direct(policyOf({ allow_addresses: ["loopback"] }), { dialTimeoutMs: 200 });
  const dials = Array.from({ length: 8 }, () => path.dial({ host: "127.0.0.1", port: listener.addr.port }));
  const outcomes = await Promise.allSettled(dials);
  const failed = outcomes.filter((outcome) => outcome.status === "rejected");
  assert(failed.length >= 4);
  for (const { reason } of failed) assertEquals((reason as DialError).code, "timeout");
});

Deno.test("a new policy holds from the next dial on; what is open stays", async () => {
  const source = new ChangingPolicy(policyOf());
  const { path, wire } = egress(source);
  using _path = path;
  const stream = await path.dial({ host: "1.1.1.1", port: 80 });
  source.change(policyOf({ deny_addresses: ["1.1.1.1/32"] }));
  assertEquals(await failureOf(path.dial({ host: "1.1.1.1", port: 80 })), "denied");
  await writeAll(stream, new Uint8Array(3));
  assertEquals(await wire.far[0]!.read(new Uint8Array(9)), 3);
});

Deno.test("with close_on_reload a new policy closes what it forbids, and only that", async () => {
  const source = new ChangingPolicy(policyOf());
  const { path, wire } = egress(source, { resolver: new ScriptedResolver(["9.9.9.9"]) });
  using _path = path;
  await path.dial({ host: "1.1.1.1", port: 80 });
  await path.dial({ host: "bad.example", port: 80 });
  const kept = await path.dial({ host: "good.example", port: 80 });
  source.change(policyOf({ deny_addresses: ["1.1.1.1/32"], hosts: ["deny bad.example"], close_on_reload: true }));
  assertEquals(await wire.far[0]!.read(new Uint8Array(1)), null);
  assertEquals(await wire.far[1]!.read(new Uint8Array(1)), null);
  await writeAll(kept, new Uint8Array(3));
  assertEquals(await wire.far[2]!.read(new Uint8Array(9)), 3);
});
