import { assertEquals } from "@std/assert";
import { openTcpTable } from "../../native/tcp_table.ts";
import { readProcStat } from "../../native/proc_files.ts";
import { freePort } from "../../testing/program.ts";
import { listeningPorts } from "./listening_ports.ts";
import { findPortOwner } from "./port_owner.ts";

const HOST = "127.0.0.1";

Deno.test("who has a port is found by pid and program, at its address and at all of them", async () => {
  using sockets = openTcpTable();
  using listener = Deno.listen({ hostname: HOST, port: 0 });
  const { port } = listener.addr;
  const us = { pid: Deno.pid, program: readProcStat(Deno.pid)!.name };
  for (const host of [HOST, "0.0.0.0", "::"]) {
    assertEquals(await findPortOwner(sockets, { kind: "tcp", at: { host, port } }), us, host);
  }
  assertEquals(await findPortOwner(sockets, { kind: "tcp", at: { host: "::1", port } }), undefined);
  assertEquals(await findPortOwner(sockets, { kind: "udp", at: { host: HOST, port } }), undefined);
  const nobodys = freePort();
  assertEquals(await findPortOwner(sockets, { kind: "tcp", at: { host: HOST, port: nobodys } }), undefined);
});

Deno.test("ports are told in their order, TCP and UDP apart", async () => {
  using sockets = openTcpTable();
  using listener = Deno.listen({ hostname: HOST, port: 0 });
  const datagrams = Deno.listenDatagram({ hostname: HOST, port: 0, transport: "udp" });
  const [tcp, udp] = [listener.addr.port, (datagrams.addr as Deno.NetAddr).port];
  const ports = [
    { kind: "tcp", at: { host: HOST, port: tcp } },
    { kind: "tcp", at: { host: HOST, port: freePort() } },
    { kind: "udp", at: { host: HOST, port: udp } },
  ] as const;
  const { listening } = listeningPorts(sockets);
  assertEquals(await listening(ports), [true, false, true]);
  datagrams.close();
  assertEquals(await listening(ports), [true, false, false]);
});
