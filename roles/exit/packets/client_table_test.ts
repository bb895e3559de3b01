import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { CulvertError } from "../../../protocol/errors.ts";
import { formatIp, parseCidr, parseIp } from "../../../protocol/ip.ts";
import { AddressPool } from "./address_pool.ts";
import { type ClientSession, ClientTable } from "./client_table.ts";

const keyOf = (number: number) => new Uint8Array(32).fill(number);
const at = (port: number) => ({ address: parseIp("192.0.2.1")!, port });
const poolsOf = (...networks: string[]) => networks.map((network) => new AddressPool(parseCidr(network)!));
const session = (sessionId: string, client: number, more: Partial<ClientSession> = {}): ClientSession => ({
  sessionId,
  clientKey: keyOf(client),
  relayAt: at(1000),
  wishes: [],
  ...more,
});

Deno.test("a client has an address of each pool, wished ones where they are free", () => {
  const table = new ClientTable(poolsOf("10.201.0.0/16", "fd00:1::/64"));
  const wishes = [parseIp("fd00:1::77")!, parseIp("10.201.9.9")!];
  assertEquals(table.add(session("a", 1, { wishes })).addresses.map(formatIp), ["10.201.9.9", "fd00:1::77"]);
  const other = table.add(session("b", 2, { wishes })).addresses.map(formatIp);
  assert(other[0] !== "10.201.9.9" && other[1] !== "fd00:1::77");
  assertEquals(table.clientAt(parseIp("10.201.9.9")!)?.key, keyOf(1));
  assertEquals(table.clientAt(parseIp("10.201.9.8")!), undefined);
});

Deno.test("several sessions of a client are one peer, found at the newest one's relay until the last one ends", () => {
  const table = new ClientTable(poolsOf("10.201.0.0/16"));
  const { addresses } = table.add(session("a", 1, { relayAt: at(1) }));
  assertEquals(table.add(session("b", 1, { relayAt: at(2) })), { key: keyOf(1), addresses, relayAt: at(2) });
  assertEquals(table.add(session("c", 1, { relayAt: at(3) })).relayAt, at(3));
  table.remove("b");
  assertEquals(table.peerOf(keyOf(1))?.relayAt, at(3));
  table.remove("c");
  assertEquals(table.peerOf(keyOf(1)), { key: keyOf(1), addresses, relayAt: at(1) });
  assertEquals(table.keyOf("a"), keyOf(1));
  assertEquals(table.remove("a"), true);
  assertEquals([table.peerOf(keyOf(1)), table.clientAt(addresses[0]!), table.remove("a")], [
    undefined,
    undefined,
    false,
  ]);
});

Deno.test("a session that is set up again becomes the newest, and may change hands", () => {
  const table = new ClientTable(poolsOf("10.201.0.0/16"));
  table.add(session("a", 1, { relayAt: at(1) }));
  table.add(session("b", 1, { relayAt: at(2) }));
  assertEquals(table.add(session("a", 1, { relayAt: at(3) })).relayAt, at(3));
  table.add(session("a", 2));
  table.remove("b");
  assertEquals([table.peerOf(keyOf(1)), table.clientCount], [undefined, 1]);
});

Deno.test("a key is one client's while it has sessions, and whoever comes first may have it afterwards", () => {
  const table = new ClientTable(poolsOf("10.201.0.0/16"));
  table.add(session("a", 1, { clientPeerId: "owner", relayAt: at(1) }));
  const theft = session("b", 1, { clientPeerId: "thief", relayAt: at(2) });
  const theftOfSession = { ...theft, sessionId: "a" };
  for (const order of [theft, theftOfSession]) {
    assertEquals(assertThrows(() => table.add(order), CulvertError).code, "key_in_use");
  }
  assertEquals([table.peerOf(keyOf(1))?.relayAt, table.keyOf("b")], [at(1), undefined]);
  table.add(session("c", 1, { clientPeerId: "owner" }));
  for (const sessionId of ["a", "c"]) table.remove(sessionId);
  assertEquals(table.add(theft).relayAt, at(2));
});

Deno.test("a key of which nobody has said whose it is becomes that of the first who does", () => {
  const table = new ClientTable(poolsOf("10.201.0.0/16"));
  table.add(session("a", 1));
  table.add(session("b", 1, { clientPeerId: "owner" }));
  table.add(session("c", 1));
  const theft = session("d", 1, { clientPeerId: "thief" });
  assertEquals(assertThrows(() => table.add(theft), CulvertError).code, "key_in_use");
});

Deno.test("without an address of each pool a client is not taken, and takes none", () => {
  const table = new ClientTable(poolsOf("10.201.0.0/16", "10.202.0.0/29"));
  for (let client = 1; client <= 5; client++) table.add(session(`${client}`, client));
  assertEquals(table.spareClients, 0);
  assertThrows(() => table.add(session("6", 6)), CulvertError, "every address");
  table.remove("3");
  assertEquals([table.spareClients, table.clientCount], [1, 4]);
  table.add(session("6", 6));
});

Deno.test("whatever sessions come and go, each client there has addresses of its own, and no other holds any", () => {
  const step = fc.record({ session: fc.nat(9), client: fc.integer({ min: 1, max: 5 }), removes: fc.boolean() });
  fc.assert(fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
    const [pool] = poolsOf("10.201.0.0/28") as [AddressPool];
    const table = new ClientTable([pool]);
    const owners = new Map<string, number>();
    for (const { session: id, client, removes } of steps) {
      if (removes) {
        assertEquals(table.remove(`${id}`), owners.delete(`${id}`));
      } else {
        table.add(session(`${id}`, client));
        owners.set(`${id}`, client);
      }
      const clients = new Set(owners.values());
      assertEquals([table.clientCount, pool.spare], [clients.size, 13 - clients.size]);
      const addresses = [...clients].flatMap((client) => table.peerOf(keyOf(client))!.addresses.map(formatIp));
      assertEquals(new Set(addresses).size, clients.size);
    }
  }));
});
