import { assertEquals, assertThrows } from "@std/assert";
import { CulvertError } from "../../protocol/errors.ts";
import { eventually } from "../../testing/waiting.ts";
import { openLibc } from "../libc.ts";
import { isPortFree, reservePorts } from "./port_reservation.ts";
import { portUsers } from "./port_users.ts";

const hostname = "127.0.0.1";

Deno.test("a port that is reserved nobody else gets, and what is no port is not free", () => {
  using libc = openLibc();
  using reserved = reservePorts(libc, [0]);
  const port = reserved.ports[0]!;
  assertEquals(isPortFree(libc, port), false);
  assertThrows(() => Deno.listen({ hostname, port }), Deno.errors.AddrInUse);
  assertThrows(() => reservePorts(libc, [port]), CulvertError, "a socket of some process holds it");
  assertEquals(isPortFree(libc, 70_000), false);
});

Deno.test("a port of which connections are only remembered is free, and nobody else gets it then", async () => {
  using libc = openLibc();
  const { port } = await leaveConnection();
  await eventually("the connection is over", () => portUsers(port).every(({ state }) => state === "TIME_WAIT"));
  using reserved = reservePorts(libc, [port]);
  assertEquals(reserved.ports, [port]);
  for (const hostname of ["127.0.0.1", "0.0.0.0"]) {
    assertThrows(() => Deno.listen({ hostname, port }), Deno.errors.AddrInUse);
  }
});

/** A server that was the first to close, and is gone. */
async function leaveConnection(): Promise<{ port: number }> {
  using listener = Deno.listen({ hostname, port: 0 });
  const { port } = listener.addr;
  const [far, near] = await Promise.all([Deno.connect({ hostname, port }), listener.accept()]);
  near.close();
  await far.read(new Uint8Array(1));
  far.close();
  return { port };
}
