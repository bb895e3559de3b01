import { assertEquals } from "@std/assert";
import { clockOf } from "../protocol/clock.ts";
import { parseIp } from "../protocol/ip.ts";
import { NetLab } from "../testing/netns.ts";
import { testWith } from "../testing/requirements.ts";
import { inNamespace } from "./fixtures/in_namespace.ts";
import { openLibc } from "./libc.ts";
import { sayingsOfPath } from "./path_sayings.ts";

testWith(
  { netns: true, tools: ["ip", "sysctl"] },
  "routers tell of the narrowest place of a path, and hosts of ports where nobody is",
  async () => {
    await using lab = await NetLab.open();
    const [client, router, server] = [
      await lab.namespace("client"),
      await lab.namespace("router"),
      await lab.namespace("s"),
    ];
    await lab.connect(client, "10.77.0.2/24", router, "10.77.0.1/24");
    await lab.connect(router, "10.78.0.1/24", server, "10.78.0.2/24");
    await client.run(["ip", "route", "add", "default", "via", "10.77.0.1"]);
    await server.run(["ip", "route", "add", "default", "via", "10.78.0.1"]);
    await router.run(["sysctl", "-qw", "net.ipv4.ip_forward=1"]);
    using libc = openLibc();
    using _server = inNamespace(server, () => listening("10.78.0.2"));
    const ask = (port: number) =>
      inNamespace(
        client,
        () => sayingsOfPath(libc, parseIp("10.78.0.2")!, { port, clock: clockOf(globalThis), patienceMs: 200 }),
      );
    assertEquals(await ask(9), { mtuBytes: 1500, isRefused: false });
    assertEquals(await ask(10), { mtuBytes: 1500, isRefused: true });
    await router.run(["ip", "link", "set", "eth1", "mtu", "1400"]);
    assertEquals(await ask(9), { mtuBytes: 1400, isRefused: false });
  },
);

function listening(hostname: string): Disposable {
  const socket = Deno.listenDatagram({ transport: "udp", hostname, port: 9 });
  return { [Symbol.dispose]: () => socket.close() };
}
