import { assert, assertEquals, assertRejects } from "@std/assert";
import { clockOf } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { silentLog } from "../../protocol/log.ts";
import { writeAll } from "../../protocol/stream.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { askClient, type ControlDeeds, serveControl } from "./control_socket.ts";
import { type ClientStatus, statusLines } from "./status.ts";

const clock = clockOf(globalThis);
const { signal } = new AbortController();
const STATUS: ClientStatus = {
  mode: "tun",
  connected: true,
  pid: 4711,
  supernode: "sn",
  control: true,
  exit: "exit",
  region: "eu",
  latencyMs: 12.34,
  tunnel: {
    interface: "culvert0",
    addresses: ["10.201.0.2", "fd77::2"],
    dns: ["10.201.0.1"],
    mtu: 1380,
    way: "relay",
    endpoint: "192.0.2.1:40000",
    handshakeAgeMs: 61_400,
    rxBytes: 5 * 1024 * 1024,
    txBytes: 900,
  },
  locked: true,
};

const deeds: ControlDeeds = {
  status: () => Promise.resolve(STATUS),
  rotate: () => Promise.reject(new CulvertError("host_unreachable", "There is no other exit")),
  down: () => Promise.resolve({ ...STATUS, connected: false }),
};

Deno.test("a client that runs is asked by its socket, which is its owner's alone", async () => {
  using temp = new TempDirectory();
  const path = temp.path("client.sock");
  const options = { path, deeds, clock, log: silentLog };
  {
    await using _server = await serveControl(options);
    assertEquals((await Deno.lstat(path)).mode! & 0o777, 0o600);
    assertEquals(await askClient(path, { do: "status" }, { clock, signal }), STATUS);
    assertEquals((await askClient(path, { do: "down" }, { clock, signal }))?.connected, false);
    const error = await assertRejects(
      () => askClient(path, { do: "rotate" }, { clock, signal }),
      CulvertError,
      "There is no other exit",
    );
    assertEquals(error.code, "host_unreachable");
    await assertRejects(() => serveControl(options), CulvertError, "another client answers there");
  }
  assertEquals(await askClient(path, { do: "status" }, { clock, signal }), undefined);
});

Deno.test("what is no question ends its own connection and no other", async () => {
  using temp = new TempDirectory();
  const path = temp.path("client.sock");
  await using _server = await serveControl({ path, deeds, clock, log: silentLog });
  for (const text of ["", "hello\n", '{"do":"format the disk"}\n', "x".repeat(9_000)]) {
    using conn = await Deno.connect({ transport: "unix", path });
    await writeAll(conn, new TextEncoder().encode(text)).catch(() => {});
    await conn.closeWrite().catch(() => {});
    assertEquals(await conn.read(new Uint8Array(10)).catch(() => null), null);
  }
  assertEquals(await askClient(path, { do: "status" }, { clock, signal }), STATUS);
});

Deno.test("a socket that a killed client has left is replaced", async () => {
  using temp = new TempDirectory();
  const path = temp.path("client.sock");
  const listener = Deno.listen({ transport: "unix", path });
  // Closing does not remove the file, as an end by kill -9 does not.
  listener.close();
  assertEquals(await askClient(path, { do: "status" }, { clock, signal }), undefined);
  await using _server = await serveControl({ path, deeds, clock, log: silentLog });
  assert(await askClient(path, { do: "status" }, { clock, signal }));
});

Deno.test("people read a status line by line", () => {
  assertEquals(statusLines(STATUS), [
    "state         connected",
    "supernode     sn",
    "exit          exit",
    "region        eu",
    "latency       12.3 ms",
    "interface     culvert0",
    "addresses     10.201.0.2, fd77::2",
    "name servers  10.201.0.1",
    "way           relay by 192.0.2.1:40000",
    "handshake     61 s ago",
    "received      5.0 MiB",
    "sent          900 B",
    "kill switch   on",
  ]);
  const { tunnel: _, ...without } = STATUS;
  const lines = statusLines({ ...without, mode: "proxy", control: false, connected: false });
  assertEquals(lines.slice(0, 2), ["state        the exit does not answer", "supernode    sn (not connected)"]);
});
