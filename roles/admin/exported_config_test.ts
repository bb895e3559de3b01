import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { hostPrimitives } from "../../net/host_primitives.ts";
import { peerKeysOf } from "../../protocol/control/peer_keys.ts";
import { generateSecrets, Identity } from "../../protocol/identity.ts";
import { parseQuickConfig } from "../../protocol/wireguard/quick_config.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { commentedConfig, exportedConfig, type ExportedOffer } from "./exported_config.ts";

const random = new SeededRandom(5);

function newIdentity(): Identity {
  return new Identity(generateSecrets(random), hostPrimitives());
}

const [device, exit, supernode] = [newIdentity(), newIdentity(), newIdentity()];

function offer(packets: Partial<ExportedOffer["packets"]> = {}): ExportedOffer {
  return {
    sessionId: "A".repeat(22),
    exit: peerKeysOf(exit),
    region: "eu",
    expiresAtMs: Date.UTC(2026, 11, 24, 18, 30, 59),
    packets: {
      addresses: ["10.201.0.2/32", "fd00::2/128"],
      gateways: ["10.201.0.1", "fd00::1"],
      dns: ["10.201.0.1", "fd00::1"],
      mtu: 1420,
      endpoint: "sn.example.org:40123",
      ...packets,
    },
  };
}

function textOf(given: ExportedOffer): string {
  const made = { name: "phone", peerId: device.peerId, supernodeId: supernode.peerId, ...given };
  return commentedConfig(exportedConfig(device, given), given, made);
}

Deno.test("an exported file is read back as what was offered, with or without its comments", () => {
  const config = exportedConfig(device, offer());
  assertEquals(parseQuickConfig(textOf(offer())), parseQuickConfig(config));
  assertEquals(
    config.split("\n").filter((line) => !/Key/.test(line)),
    [
      "[Interface]",
      "Address = 10.201.0.2/32",
      "Address = fd00::2/128",
      "DNS = 10.201.0.1, fd00::1",
      "MTU = 1420",
      "",
      "[Peer]",
      "AllowedIPs = 0.0.0.0/0, ::/0",
      "Endpoint = sn.example.org:40123",
      "PersistentKeepalive = 25",
      "",
    ],
  );
  const { privateKey, peers } = parseQuickConfig(config);
  assertEquals([privateKey, peers[0]!.publicKey], [device.secrets().wireguardKey, exit.wireguardPublicKey]);
});

Deno.test("an exit without IPv6 gets it all the same, so that nothing goes past the tunnel", () => {
  const { addresses, peers } = parseQuickConfig(exportedConfig(device, offer({ addresses: ["10.201.0.2/32"] })));
  assertEquals([addresses.length, peers[0]!.allowedIps.length], [1, 2]);
});

Deno.test("a tunnel that the supernode terminates is sealed for its key, and the file says who can read it", () => {
  const terminated = offer({ terminatedBy: peerKeysOf(supernode) });
  const [peer] = parseQuickConfig(exportedConfig(device, terminated)).peers;
  assertEquals(peer!.publicKey, supernode.wireguardPublicKey);
  assertStringIncludes(textOf(terminated), `The supernode ${supernode.peerId} can read`);
});

Deno.test("the comments say until when, to the minute and in UTC, and how to end it", () => {
  const text = textOf(offer());
  for (const told of ["2026-12-24 18:30 UTC", "culvert admin end AAAAAAAAAAAAAAAAAAAAAA", exit.peerId, device.peerId]) {
    assertStringIncludes(text, told);
  }
  for (const line of text.split("\n").filter((line) => line.startsWith("#"))) assert(line.length <= 120, line);
});
