import { assertEquals } from "@std/assert";
import { parseCidr } from "../ip.ts";
import { parseEndpoint } from "./endpoint.ts";
import type { DeviceStatus, Key, PeerStatus } from "./settings.ts";
import { formatDump, formatShow } from "./show.ts";

const WALL_MS = 1_700_000_000_900;

function keyOf(byte: number): Key {
  return new Uint8Array(32).fill(byte);
}

const quiet: PeerStatus = {
  publicKey: keyOf(1),
  persistentKeepaliveS: 0,
  lastHandshakeMs: 0,
  receivedBytes: 0,
  sentBytes: 0,
  allowedIps: [],
};

const busy: PeerStatus = {
  publicKey: keyOf(2),
  presharedKey: keyOf(3),
  endpoint: parseEndpoint("[2001:db8::1]:51820")!,
  persistentKeepaliveS: 25,
  lastHandshakeMs: WALL_MS - 61_900,
  receivedBytes: 1023,
  sentBytes: 3 * 2 ** 30 + 2 ** 28,
  allowedIps: [parseCidr("10.0.0.0/24")!, parseCidr("fd00::/64")!],
};

const device: DeviceStatus = {
  privateKey: keyOf(4),
  publicKey: keyOf(5),
  listenPort: 51820,
  fwmark: 0xca6c,
  peers: [quiet, busy],
};

const [KEY1, KEY2, KEY3, KEY4, KEY5] = [1, 2, 3, 4, 5].map((byte) => keyOf(byte).toBase64());

Deno.test("a device is shown as wg shows it, who spoke last first", () => {
  assertEquals(
    formatShow("wg0", device, { wallMs: WALL_MS }),
    `interface: wg0
  public key: ${KEY5}
  private key: (hidden)
  listening port: 51820
  fwmark: 0xca6c

peer: ${KEY2}
  preshared key: (hidden)
  endpoint: [2001:db8::1]:51820
  allowed ips: 10.0.0.0/24, fd00::/64
  latest handshake: 1 minute, 1 second ago
  transfer: 1023 B received, 3.25 GiB sent
  persistent keepalive: every 25 seconds

peer: ${KEY1}
  allowed ips: (none)
`,
  );
});

Deno.test("keys are shown when that is asked for", () => {
  const text = formatShow("wg0", device, { wallMs: WALL_MS, revealKeys: true });
  assertEquals([text.includes(`private key: ${KEY4}\n`), text.includes(`preshared key: ${KEY3}\n`)], [true, true]);
});

Deno.test("a device without anything is shown by its name alone", () => {
  const bare = { listenPort: 0, fwmark: 0, peers: [] };
  assertEquals(formatShow("wg0", bare, { wallMs: WALL_MS }), "interface: wg0\n");
  assertEquals(formatDump(bare), "(none)\t(none)\t0\toff\n");
});

Deno.test("a dump is one line for the device and one per peer, in the device's order", () => {
  assertEquals(
    formatDump(device),
    `${KEY4}\t${KEY5}\t51820\t0xca6c\n` +
      `${KEY1}\t(none)\t(none)\t(none)\t0\t0\t0\toff\n` +
      `${KEY2}\t${KEY3}\t[2001:db8::1]:51820\t10.0.0.0/24,fd00::/64\t1699999939\t1023\t3489660928\t25\n`,
  );
});

const ages: [ageMs: number, text: string | undefined][] = [
  [0, "Now"],
  [900, "Now"],
  [901, "1 second ago"],
  [60_000, "1 minute ago"],
  [7_325_000, "2 hours, 2 minutes, 5 seconds ago"],
  [86_400_000 * 366, "1 year, 1 day ago"],
  [-1000, "(System clock wound backward; connection problems may ensue.)"],
  [WALL_MS, undefined],
];

for (const [ageMs, text] of ages) {
  Deno.test(`a handshake ${ageMs} ms ago is shown as ${text ?? "nothing"}`, () => {
    const peers = [{ ...quiet, lastHandshakeMs: WALL_MS - ageMs }];
    const shown = formatShow("wg0", { ...device, peers }, { wallMs: WALL_MS });
    assertEquals(/latest handshake: (.*)/.exec(shown)?.[1], text);
  });
}

const sizes: [bytes: number, text: string][] = [
  [1, "1 B"],
  [1024, "1.00 KiB"],
  [1536, "1.50 KiB"],
  [2 ** 20 - 1, "1024.00 KiB"],
  [2 ** 20, "1.00 MiB"],
  [2 ** 40, "1.00 TiB"],
  [2 ** 50, "1024.00 TiB"],
];

for (const [bytes, text] of sizes) {
  Deno.test(`${bytes} bytes are shown as ${text}`, () => {
    const shown = formatShow("wg0", { ...device, peers: [{ ...quiet, receivedBytes: bytes }] }, { wallMs: WALL_MS });
    assertEquals(/transfer: (.*)/.exec(shown)?.[1], `${text} received, 0 B sent`);
  });
}
