import { assertEquals, assertStrictEquals } from "@std/assert";
import { isBoundAt } from "../protocol/bound_socket.ts";
import { readFull, writeAll } from "../protocol/stream.ts";
import { eventually } from "../testing/waiting.ts";
import { openTcpTable, textTable } from "./tcp_table.ts";

const HOST = "127.0.0.1";

Deno.test("sockets are in the table from when they wait until they are closed", () => {
  using table = openTcpTable();
  for (const each of [table, textTable]) {
    const isBound = (kind: "tcp" | "udp", port: number) =>
      each.bound().some((socket) => isBoundAt(socket, kind, { host: HOST, port }));
    using listener = Deno.listen({ hostname: HOST, port: 0 });
    const { port } = listener.addr;
    const datagrams = Deno.listenDatagram({ hostname: HOST, port: 0, transport: "udp" });
    const { port: udpPort } = datagrams.addr as Deno.NetAddr;
    assertEquals([isBound("tcp", port), isBound("udp", udpPort)], [true, true]);
    listener.close();
    datagrams.close();
    assertEquals([isBound("tcp", port), isBound("udp", udpPort)], [false, false]);
  }
});

Deno.test({
  name: "where foreign calls are not allowed, the table is read as text",
  permissions: { ffi: false, read: true },
  fn() {
    assertStrictEquals(openTcpTable(), textTable);
  },
});

Deno.test("a connection is in the table with the bytes that went each way", async () => {
  using table = openTcpTable();
  using listener = Deno.listen({ hostname: HOST, port: 0 });
  const { port } = listener.addr;
  const ports = new Set([port]);
  using near = await Deno.connect({ hostname: HOST, port });
  assertEquals(table.connections(ports), [], "what nobody has accepted is nobody's");
  using far = await listener.accept();
  const [[connection], [inText]] = [table.connections(ports), textTable.connections(ports)];
  assertEquals([connection?.localPort, inText?.localPort], [port, port]);
  await writeAll(near, new Uint8Array(1000));
  await readFull(far, new Uint8Array(1000));
  await writeAll(far, new Uint8Array(3000));
  await readFull(near, new Uint8Array(3000));
  // What went out counts once it is acknowledged.
  await eventually("acknowledged", () => table.connections(ports)[0]?.outBytes === 3000);
  assertEquals(table.connections(ports), [{ id: connection!.id, localPort: port, inBytes: 1000, outBytes: 3000 }]);
  assertEquals(table.connections(new Set([port + 1])), []);
  assertEquals(table.connections(new Set()), []);
});

Deno.test("of many connections only those of the asked ports are told, however many are asked for", async () => {
  using table = openTcpTable();
  using open = new DisposableStack();
  const ports: number[] = [];
  for (let count = 0; count < 4; count++) {
    const listener = open.use(Deno.listen({ hostname: HOST, port: 0 }));
    ports.push(listener.addr.port);
    open.use(await Deno.connect({ hostname: HOST, port: listener.addr.port }));
    open.use(await listener.accept());
  }
  const unused = Array.from({ length: 2_000 }, (_, at) => at + 1).filter((port) => !ports.includes(port));
  for (const asked of [ports, ports.slice(0, 1), ports.slice(1, 3), ports.slice(3), [...unused, ports[2]!]]) {
    for (const each of [table, textTable]) {
      const told = each.connections(new Set(asked)).map(({ localPort }) => localPort).filter((port) =>
        ports.includes(port)
      );
      assertEquals(told.sort(), asked.filter((port) => ports.includes(port)).sort());
    }
  }
});
