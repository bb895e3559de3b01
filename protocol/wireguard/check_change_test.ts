import { assert, assertThrows } from "@std/assert";
import { CulvertError } from "../errors.ts";
import { parseCidr, parseIp } from "../ip.ts";
import { checkDeviceChange } from "./check_change.ts";
import type { DeviceChange, PeerChange } from "./settings.ts";

const key = new Uint8Array(32).fill(0xab);
const peer = (change: Partial<PeerChange>): DeviceChange => ({ peers: [{ publicKey: key, ...change }] });
const address = parseIp("192.0.2.1")!;

Deno.test("a change within every bound is let through", () => {
  checkDeviceChange({});
  checkDeviceChange({
    privateKey: key,
    listenPort: 65_535,
    fwmark: 0xffffffff,
    ...peer({
      presharedKey: key,
      endpoint: { address: parseIp("fe80::1")!, port: 1, scopeId: 2 },
      persistentKeepaliveS: 0,
      allowedIps: [{ cidr: parseCidr("::/0")! }, { cidr: parseCidr("10.0.0.1")! }],
    }),
  });
});

const rows: readonly (readonly [rule: string, change: DeviceChange])[] = [
  ["privateKey must be 32 bytes, got 31", { privateKey: key.slice(1) }],
  ["listenPort must be 0 to 65535, got 65536", { listenPort: 65_536 }],
  ["fwmark must be 0 to 4294967295, got -1", { fwmark: -1 }],
  ["publicKey must be 32 bytes, got 0", peer({ publicKey: new Uint8Array(0) })],
  ["presharedKey must be 32 bytes, got 33", peer({ presharedKey: new Uint8Array(33) })],
  ["persistentKeepaliveS must be 0 to 65535, got 1.5", peer({ persistentKeepaliveS: 1.5 })],
  ["an endpoint's port must be 1 to 65535, got 0", peer({ endpoint: { address, port: 0 } })],
  ["an endpoint's address must be 4 or 16 bytes, got 5", peer({ endpoint: { address: new Uint8Array(5), port: 1 } })],
  [
    "an allowed address must be 4 or 16 bytes, got 0",
    peer({
      allowedIps: [{ cidr: { address: new Uint8Array(0), bits: 0 } }],
    }),
  ],
  ["an allowed address's bits must be 0 to 32, got 33", peer({ allowedIps: [{ cidr: { address, bits: 33 } }] })],
];

for (const [rule, change] of rows) {
  Deno.test(`refused, and no key shown: ${rule}`, () => {
    const { code, message } = assertThrows(() => checkDeviceChange(change), CulvertError, rule);
    assert(code === "bad_value" && !message.includes("171") && !message.includes("abab"));
  });
}
