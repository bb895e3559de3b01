import { assert, assertEquals, assertThrows } from "@std/assert";
import { parseIp } from "../protocol/ip.ts";
import { NetLab } from "../testing/netns.ts";
import { testWith } from "../testing/requirements.ts";
import { eventually } from "../testing/waiting.ts";
import { Errno, SysError } from "./errno.ts";
import { inNamespace } from "./fixtures/in_namespace.ts";
import { openLibc } from "./libc.ts";
import { type TunnelDatagram, TunnelSocket } from "./tunnel_socket.ts";

const needs = { netns: true, tools: ["ip"] };
const PORT = 7007;

async function arriving(socket: TunnelSocket): Promise<TunnelDatagram> {
  let datagram: TunnelDatagram | undefined;
  await eventually("a datagram", () => (datagram = socket.receive()) !== undefined);
  return datagram!;
}

for (
  const [family, near, far, bits] of [["v4", "10.9.0.1", "10.9.0.2", 24], ["v6", "fd09::1", "fd09::2", 64]] as const
) {
  testWith(
    needs,
    `datagrams go there and back by the interface they are bound to, although the route is another's: ${family}`,
    async () => {
      await using lab = await NetLab.open();
      const [a, b, other] = [await lab.namespace("a"), await lab.namespace("b"), await lab.namespace("c")];
      await lab.connect(a, `${near}/${bits}`, b, `${far}/${bits}`);
      await lab.connect(
        a,
        family === "v4" ? "10.8.0.1/24" : "fd08::1/64",
        other,
        family === "v4" ? "10.8.0.2/24" : "fd08::2/64",
      );
      // What is more particular goes elsewhere.
      await a.run(["ip", "route", "add", far, "dev", "eth1"]);
      using libc = openLibc();
      const isV6 = family === "v6";
      using client = inNamespace(a, () => TunnelSocket.open(libc, { interfaceName: "eth0", isV6 }));
      using server = inNamespace(b, () => TunnelSocket.open(libc, { interfaceName: "eth0", isV6, port: PORT }));
      assertEquals(client.receive(), undefined);
      const question = new Uint8Array([1, 2, 3]);
      assert(client.send(question, { address: parseIp(far)!, port: PORT }));
      const asked = await arriving(server);
      assertEquals(asked.bytes, question);
      assertEquals(asked.from.address, parseIp(near));
      assert(server.send(new Uint8Array(1400).fill(7), asked.from));
      const answer = await arriving(client);
      assertEquals(answer.bytes, new Uint8Array(1400).fill(7));
      assertEquals(answer.from.port, PORT);
    },
  );
}

testWith(needs, "what cannot go is said and not thrown: another family, too much, no way there", async () => {
  await using lab = await NetLab.open();
  const a = await lab.namespace("a");
  using libc = openLibc();
  using socket = inNamespace(a, () => TunnelSocket.open(libc, { interfaceName: "lo", isV6: false }));
  const port = PORT;
  assert(!socket.send(new Uint8Array(1), { address: parseIp("fd09::1")!, port }));
  assert(!socket.send(new Uint8Array(4000), { address: parseIp("127.0.0.1")!, port }));
  await a.run(["ip", "link", "set", "lo", "down"]);
  assert(!socket.send(new Uint8Array(1), { address: parseIp("10.9.0.2")!, port }));
});

testWith(needs, "an interface that is not there is named", async () => {
  await using lab = await NetLab.open();
  const a = await lab.namespace("a");
  using libc = openLibc();
  const open = () => inNamespace(a, () => TunnelSocket.open(libc, { interfaceName: "culvert7", isV6: false }));
  assertEquals(assertThrows(open, SysError, "culvert7").errno, Errno.ENODEV);
});
