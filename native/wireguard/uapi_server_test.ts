import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { clockOf } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { parseCidr, parseIp } from "../../protocol/ip.ts";
import { portablePrimitives } from "../../protocol/primitives.ts";
import { writeAll } from "../../protocol/stream.ts";
import type { DeviceChange, DeviceStatus, Key } from "../../protocol/wireguard/settings.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { Errno, SysError } from "../errno.ts";
import type { WireGuardDevice } from "./device.ts";
import { openExternalDevice } from "./external.ts";
import { serveUapi } from "./uapi_server.ts";

const random = new SeededRandom(7);
const PRIVATE_KEY: Key = random.fill(new Uint8Array(32));
const PEER_KEY: Key = random.fill(new Uint8Array(32));
const clock = clockOf(globalThis);

/** A device that only remembers what it was told. */
class MemoryDevice implements WireGuardDevice {
  readonly interfaceName = "wg7";
  readonly backend = "userspace";
  readonly ended = new Promise<undefined>(() => {});
  readonly changes: DeviceChange[] = [];
  failure: Error | undefined;
  current: DeviceStatus = {
    privateKey: PRIVATE_KEY,
    listenPort: 51820,
    fwmark: 0,
    peers: [{
      publicKey: PEER_KEY,
      endpoint: { address: parseIp("192.0.2.1")!, port: 7 },
      persistentKeepaliveS: 25,
      lastHandshakeMs: 1_700_000_000_000,
      receivedBytes: 11,
      sentBytes: 12,
      allowedIps: [parseCidr("10.0.0.0/8")!, parseCidr("fd00::/8")!],
    }],
  };

  configure(change: DeviceChange): Promise<void> {
    if (this.failure) return Promise.reject(this.failure);
    this.changes.push(change);
    return Promise.resolve();
  }

  status(): Promise<DeviceStatus> {
    return Promise.resolve(this.current);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

async function ask(path: string, text: string): Promise<string> {
  using conn = await Deno.connect({ transport: "unix", path });
  await writeAll(conn, new TextEncoder().encode(text));
  await conn.closeWrite();
  return await new Response(conn.readable).text().catch(() => "");
}

Deno.test("what a device says arrives through its socket as it was, with the public key added", async () => {
  using temp = new TempDirectory();
  const device = new MemoryDevice();
  await using _server = await serveUapi(device, { directory: temp.path("run") });
  await using external = await openExternalDevice({ name: "wg7", clock, directory: temp.path("run") });
  const status = await external.status();
  assertEquals(status.publicKey, portablePrimitives.x25519PublicKey(PRIVATE_KEY));
  assertEquals(status.peers, device.current.peers);
  assertEquals(status.listenPort, 51820);
});

Deno.test("a change arrives as one, and several requests go through one connection", async () => {
  using temp = new TempDirectory();
  const device = new MemoryDevice();
  await using server = await serveUapi(device, { directory: temp.path("run") });
  const answer = await openAndAsk(server.path, ["set=1\nlisten_port=7\n\n", "set=1\nfwmark=9\n\n"]);
  assertEquals(answer, "errno=0\n\nerrno=0\n\n");
  assertEquals(device.changes.map(({ listenPort, fwmark }) => ({ listenPort, fwmark })), [
    { listenPort: 7, fwmark: undefined },
    { listenPort: undefined, fwmark: 9 },
  ]);
  await using external = await openExternalDevice({ name: "wg7", clock, directory: temp.path("run") });
  await external.configure({ peers: [{ publicKey: PEER_KEY, remove: true }] });
  assertEquals(device.changes.at(-1)!.peers![0]!.remove, true);
});

async function openAndAsk(path: string, requests: readonly string[]): Promise<string> {
  using conn = await Deno.connect({ transport: "unix", path });
  const buffer = new Uint8Array(1000);
  let answers = "";
  for (const request of requests) {
    await writeAll(conn, new TextEncoder().encode(request));
    const count = await conn.read(buffer);
    answers += new TextDecoder().decode(buffer.subarray(0, count ?? 0));
  }
  return answers;
}

Deno.test("a refusal keeps its error number on the way, through any kind of error", async () => {
  using temp = new TempDirectory();
  const device = new MemoryDevice();
  await using _server = await serveUapi(device, { directory: temp.path("run") });
  await using external = await openExternalDevice({ name: "wg7", clock, directory: temp.path("run") });
  device.failure = new SysError("bind", "bind", Errno.EADDRINUSE);
  assertEquals((await assertRejects(() => external.configure({ listenPort: 1 }), SysError)).errno, Errno.EADDRINUSE);
  device.failure = new CulvertError("whatever", "Cannot");
  assertEquals((await assertRejects(() => external.configure({ listenPort: 1 }), SysError)).errno, Errno.EIO);
});

Deno.test("nonsense is answered with an error and ends that connection alone", async () => {
  using temp = new TempDirectory();
  const device = new MemoryDevice();
  await using server = await serveUapi(device, { directory: temp.path("run") });
  for (const text of ["what=1\n\n", "x".repeat(2000) + "\n\n", "set=1\nprivate_key=zz\n\n"]) {
    assertStringIncludes(await ask(server.path, text), "errno=-");
  }
  // A flood is cut off, perhaps before it hears why.
  await ask(server.path, "x".repeat(1_000_000) + "\n").catch(() => {});
  assertEquals(device.changes, []);
  await using external = await openExternalDevice({ name: "wg7", clock, directory: temp.path("run") });
  assertEquals((await external.status()).listenPort, 51820);
});

Deno.test("only its owner may connect, and closing takes the socket away", async () => {
  using temp = new TempDirectory();
  const server = await serveUapi(new MemoryDevice(), { directory: temp.path("run") });
  assertEquals((await Deno.lstat(server.path)).mode! & 0o077, 0);
  await server.close();
  await server.close();
  await assertRejects(() => Deno.lstat(server.path), Deno.errors.NotFound);
});

Deno.test("a socket that a killed process left is replaced, one that answers is not", async () => {
  using temp = new TempDirectory();
  await Deno.mkdir(temp.path("run"));
  // Closing a listener leaves its file, as a kill does.
  Deno.listen({ transport: "unix", path: temp.path("run/wg7.sock") }).close();
  await using _server = await serveUapi(new MemoryDevice(), { directory: temp.path("run") });
  await assertRejects(
    () => serveUapi(new MemoryDevice(), { directory: temp.path("run") }),
    CulvertError,
    "another program answers there",
  );
});

Deno.test("removing the socket file is noticed by the server and by who holds the device from outside", async () => {
  using temp = new TempDirectory();
  await using server = await serveUapi(new MemoryDevice(), { directory: temp.path("run") });
  await using external = await openExternalDevice({ name: "wg7", clock, directory: temp.path("run") });
  await Deno.remove(server.path);
  await server.removed;
  const reason = await external.ended;
  assert(reason instanceof CulvertError && reason.code === "no_device", String(reason));
});

Deno.test("a device that nobody runs is said to be none, and one that never answers is given up", async () => {
  using temp = new TempDirectory();
  const options = { name: "wg7", clock, directory: temp.path("run"), answerMs: 30 };
  await assertRejects(() => openExternalDevice(options), CulvertError, "no program answers");
  await Deno.mkdir(options.directory);
  await assertRejects(() => openExternalDevice(options), CulvertError, "no program answers");
  using _silent = Deno.listen({ transport: "unix", path: temp.path("run/wg7.sock") });
  await assertRejects(() => openExternalDevice(options), CulvertError, "no answer within 30 ms");
});
