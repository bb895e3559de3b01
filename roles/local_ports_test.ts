import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { clockOf } from "../protocol/clock.ts";
import { silentLog } from "../protocol/log.ts";
import { noMetrics } from "../protocol/metrics.ts";
import type { Path } from "../protocol/stream.ts";
import { noTracing } from "../protocol/tracing.ts";
import { LoopbackPath, Script, TestDatagrams, TestServer } from "../net/proxy/fixtures/test_kit.ts";
import { ConfigError } from "./config.ts";
import { type LocalPortSettings, openLocalPorts, parseForward } from "./local_ports.ts";
import type { RoleContext } from "./role.ts";

const context = {
  clock: clockOf(globalThis),
  log: silentLog,
  metrics: { ...noMetrics, contentType: "", text: () => Promise.resolve("") },
  tracing: noTracing,
} satisfies Pick<RoleContext, "clock" | "log" | "metrics" | "tracing">;

const settings: LocalPortSettings = {
  listen: [],
  forward: [],
  user: [],
  open: false,
  maxConnections: 100,
  handshakeTimeout: 10_000,
  dialTimeout: 10_000,
};
const here = { host: "127.0.0.1", port: 0 };

Deno.test("forwards are read, and what is none is refused", () => {
  const target = { host: "site.example", port: 80 };
  assertEquals(parseForward("127.0.0.1:8080=site.example:80"), {
    transport: "tcp",
    listen: { host: "127.0.0.1", port: 8080 },
    target,
  });
  assertEquals(parseForward("udp::53=[2001:db8::1]:5353"), {
    transport: "udp",
    listen: { host: "0.0.0.0", port: 53 },
    target: { host: "2001:db8::1", port: 5353 },
  });
  assertEquals(parseForward("tcp:[::1]:1=site.example:80"), {
    transport: "tcp",
    listen: { host: "::1", port: 1 },
    target,
  });
  for (const text of ["", "8080", "a=b", "127.0.0.1:80=site.example:0", "sctp:a:1=b:2", "a:1=b:2=c:3", "a:1=b:70000"]) {
    assertEquals(parseForward(text), undefined, text);
  }
});

Deno.test("several proxies and forwards are opened, told one by one, and closed", async () => {
  using server = new TestServer();
  using program = new TestDatagrams();
  using datagrams = new TestDatagrams();
  await using ports = openLocalPorts(
    {
      ...settings,
      listen: [here, here],
      forward: [
        { transport: "tcp", listen: here, target: { host: "a.test", port: server.port } },
        { transport: "udp", listen: here, target: { host: "b.test", port: datagrams.port } },
      ],
    },
    new LoopbackPath(),
    "start proxy",
    context,
  );
  const { addresses } = ports;
  assertEquals(Object.keys(addresses), ["listen", "listen 2", "forward", "udp"]);
  assert(addresses.listen !== addresses["listen 2"]);
  const portOf = (address: string) => Number(/:(\d+)( to |$)/.exec(address)![1]);
  using client = new Script(await Deno.connect({ hostname: "127.0.0.1", port: portOf(addresses.forward!) }));
  const far = await server.accept();
  await far.send("hello");
  assertEquals(await client.take(5), new TextEncoder().encode("hello"));
  const to = { transport: "udp", hostname: "127.0.0.1", port: portOf(addresses.udp!) } as const;
  await program.socket.send(Uint8Array.of(1, 2, 3), to);
  assertEquals((await datagrams.socket.receive())[0], Uint8Array.of(1, 2, 3));
  far.close();
  client.close();
  await ports.shutdown(AbortSignal.abort());
  await assertRejects(() => Deno.connect({ hostname: "127.0.0.1", port: portOf(addresses.listen!) }));
});

Deno.test("a port that others can reach needs a password, or to be meant", () => {
  const open = (change: Partial<LocalPortSettings>) => () =>
    openLocalPorts({ ...settings, ...change }, new LoopbackPath(), "start proxy", context);
  const there = { host: "0.0.0.0", port: 0 };
  const target = { host: "a.test", port: 1 };
  assertThrows(open({ listen: [there] }), ConfigError, "others can reach 0.0.0.0:0, so give --user");
  assertThrows(
    open({ user: ["a:b"], forward: [{ transport: "tcp", listen: there, target }] }),
    ConfigError,
    "others can reach 0.0.0.0:0, so give --open",
  );
});

Deno.test("UDP is not forwarded over a path that carries no datagrams, and nothing stays open", async () => {
  const bare = new LoopbackPath();
  const path: Path = {
    dial: (target, options) => bare.dial(target, options),
    close: () => {},
    [Symbol.dispose]: () => {},
  };
  const forward = [{ transport: "udp" as const, listen: here, target: { host: "a.test", port: 1 } }];
  assertThrows(
    () => openLocalPorts({ ...settings, listen: [here], forward }, path, "start proxy", context),
    Error,
    "the path carries no datagrams",
  );
  await Promise.resolve(); // the accepts that were pending end
});
