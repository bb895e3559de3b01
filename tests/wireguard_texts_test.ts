/**
 * The texts of `protocol/wireguard` and the stock `wg`: it talks to a device that is nothing but our UAPI reader and
 * writer, and must print what `show.ts` prints and ask what `quick_config.ts` reads.
 */

import { assert, assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { portablePrimitives } from "../protocol/primitives.ts";
import { anyStatus } from "../protocol/wireguard/fixtures/arbitraries.ts";
import { keyFromHex, keyToBase64 } from "../protocol/wireguard/keys.ts";
import { endpointOf } from "../protocol/wireguard/endpoint.ts";
import { deviceChangeOf, parseQuickConfig } from "../protocol/wireguard/quick_config.ts";
import { formatQuickConfig, quickConfigOf } from "../protocol/wireguard/quick_config_text.ts";
import type { DeviceChange, DeviceStatus } from "../protocol/wireguard/settings.ts";
import { formatDump, formatShow } from "../protocol/wireguard/show.ts";
import { formatErrno, formatSet, formatStatus } from "../protocol/wireguard/uapi.ts";
import { UapiRequestReader } from "../protocol/wireguard/uapi_request.ts";
import { testWith } from "../testing/requirements.ts";
import { TempDirectory } from "../testing/temp_directory.ts";

/** Where `wg` looks, and nowhere else. */
const SOCKETS = "/var/run/wireguard";

/** Answers every get with `status` and keeps what was set. */
class FakeDevice implements AsyncDisposable {
  readonly name = `cv${Deno.pid}`;
  readonly changes: DeviceChange[] = [];
  status: DeviceStatus = { listenPort: 0, fwmark: 0, peers: [] };
  readonly #path = `${SOCKETS}/${this.name}.sock`;
  readonly #listener: Deno.UnixListener;
  readonly #served: Promise<void>;

  constructor() {
    Deno.mkdirSync(SOCKETS, { recursive: true });
    this.#listener = Deno.listen({ transport: "unix", path: this.#path });
    this.#served = this.#serve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#served;
    await Deno.remove(this.#path).catch(() => {});
  }

  async #serve(): Promise<void> {
    for await (const connection of this.#listener) await this.#answer(connection);
  }

  async #answer(connection: Deno.UnixConn): Promise<void> {
    using _connection = connection;
    const reader = new UapiRequestReader();
    const buffer = new Uint8Array(4096);
    for (let count = await connection.read(buffer); count !== null; count = await connection.read(buffer)) {
      for (const request of reader.read(buffer.subarray(0, count))) {
        if (request.kind === "set") this.changes.push(request.change);
        const answer = request.kind === "get" ? formatStatus(this.status) : formatErrno(0);
        const writer = connection.writable.getWriter();
        await writer.write(new TextEncoder().encode(request.kind === "bad" ? formatErrno(request.errno) : answer));
        writer.releaseLock();
      }
    }
  }
}

async function wg(...args: string[]): Promise<string> {
  const output = await new Deno.Command("wg", { args, env: { WG_HIDE_KEYS: "always", LC_ALL: "C" } }).output();
  assert(output.success, `wg ${args.join(" ")}: ${new TextDecoder().decode(output.stderr)}`);
  return new TextDecoder().decode(output.stdout);
}

function withPublicKey(status: DeviceStatus): DeviceStatus {
  const { privateKey } = status;
  return privateKey ? { ...status, publicKey: portablePrimitives.x25519PublicKey(privateKey) } : status;
}

testWith({ root: true, tools: ["wg"] }, "wg prints of a device what we print of it", async () => {
  await using device = new FakeDevice();
  for (const status of fc.sample(anyStatus, { numRuns: 25, seed: 3 })) {
    device.status = withPublicKey(status);
    assertEquals(formatDump(device.status), await wg("show", device.name, "dump"));
    // Without peers wg ends in an empty line more.
    assertEquals(formatQuickConfig(quickConfigOf(device.status)), (await wg("showconf", device.name)).trim() + "\n");
    const beforeMs = Date.now();
    const shown = await wg("show", device.name);
    // It was looked at in one of these seconds.
    let ours = "";
    for (let wallMs = beforeMs; ours !== shown && wallMs < Date.now() + 1000; wallMs += 1000) {
      ours = formatShow(device.name, device.status, { wallMs: Math.min(wallMs, Date.now()) });
    }
    assertEquals(ours, shown);
  }
});

const KEYS = ["1a", "2b", "3c", "4d"].map((byte) => keyToBase64(keyFromHex(byte.repeat(32))!));

const FILE = `[interface]
PRIVATEKEY=${KEYS[0]}
ListenPort = 51820 # the usual one
FwMark = 0xca6c

[Peer]
PublicKey = ${KEYS[1]}
PresharedKey = ${KEYS[2]}
Endpoint = [2001:db8::1]:51820
AllowedIPs = 10.0.0.0/24, fd00::/64
AllowedIPs = 192.0.2.1
PersistentKeepalive = 25

[Peer]
PublicKey = ${KEYS[3]}
Endpoint = 192.0.2.7:7
PersistentKeepalive = off
`;

const files: [name: string, text: string][] = [
  ["a file with every setting of wg", FILE],
  ["an empty file", ""],
  ["a device without peers", `[Interface]\nPrivateKey = ${KEYS[0]}\n`],
  ["the ends of lines of Windows", FILE.replaceAll("\n", "\r\n")],
];

for (const [name, text] of files) {
  testWith(
    { root: true, tools: ["wg"] },
    `wg setconf asks the change that we read from the same file: ${name}`,
    async () => {
      await using device = new FakeDevice();
      using directory = new TempDirectory();
      const path = directory.path("wg.conf");
      await Deno.writeTextFile(path, text);
      await wg("setconf", device.name, path);
      const change = deviceChangeOf(
        parseQuickConfig(text),
        ({ endpoint }) => endpoint && endpointOf(endpoint),
      );
      assertEquals(device.changes.map(formatSet), [formatSet(change)]);
    },
  );
}

testWith({ root: true, tools: ["wg"] }, "wg set is understood", async () => {
  await using device = new FakeDevice();
  const [publicKey, other] = [KEYS[1]!, KEYS[2]!];
  await wg("set", device.name, "listen-port", "7", "fwmark", "0x10", "peer", publicKey, "remove");
  await wg(
    "set",
    device.name,
    "peer",
    other,
    "allowed-ips",
    "",
    "persistent-keepalive",
    "5",
    "endpoint",
    "192.0.2.1:9",
  );
  assertEquals(device.changes, [
    { listenPort: 7, fwmark: 16, peers: [{ publicKey: new Uint8Array(32).fill(0x2b), remove: true }] },
    {
      peers: [{
        publicKey: new Uint8Array(32).fill(0x3c),
        endpoint: { address: new Uint8Array([192, 0, 2, 1]), port: 9 },
        persistentKeepaliveS: 5,
        replaceAllowedIps: true,
      }],
    },
  ]);
});

testWith(
  { root: true, tools: ["wg"] },
  "wg syncconf changes nothing on a device that is as the file says",
  async () => {
    await using device = new FakeDevice();
    using directory = new TempDirectory();
    const path = directory.path("wg.conf");
    await Deno.writeTextFile(path, FILE);
    await wg("setconf", device.name, path);
    const { privateKey, listenPort, fwmark, peers } = device.changes.pop()!;
    device.status = {
      privateKey: privateKey!,
      listenPort: listenPort!,
      fwmark: fwmark!,
      peers: peers!.map(({ publicKey, presharedKey, endpoint, persistentKeepaliveS, allowedIps }) => ({
        publicKey,
        ...presharedKey && { presharedKey },
        ...endpoint && { endpoint },
        persistentKeepaliveS: persistentKeepaliveS ?? 0,
        allowedIps: (allowedIps ?? []).map(({ cidr }) => cidr),
        lastHandshakeMs: 0,
        receivedBytes: 0,
        sentBytes: 0,
      })),
    };
    await wg("syncconf", device.name, path);
    const [change] = device.changes;
    assertEquals(change?.replacePeers, undefined);
    assertEquals((change?.peers ?? []).filter((peer) => peer.remove), []);
  },
);
