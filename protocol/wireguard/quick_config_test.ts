import { assert, assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import * as fc from "fast-check";
import { assertDecoderSurvives } from "../../testing/fuzz.ts";
import { formatCidr, formatIp, networkOf } from "../ip.ts";
import { keyToBase64 } from "./keys.ts";
import {
  deviceChangeOf,
  emptyQuickConfig,
  parseQuickConfig,
  type QuickConfig,
  QuickConfigError,
  type QuickPeer,
} from "./quick_config.ts";
import { formatQuickConfig, quickConfigOf, stripQuickConfig } from "./quick_config_text.ts";

// The keys are those of the examples in wg(8) and wg-quick(8).
const PRIVATE = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
const PUBLIC = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=";
const PSK = "/UwcSPg38hW/D9Y3tcS1FOV0K1wuURMbS0sesJEP5ak=";

const EVERYTHING = `# a comment
[Interface]
PrivateKey = ${PRIVATE} # and one behind a value
ListenPort=51820
  FwMark = 0xca6c
Address = 10.192.122.1/24, fd00::1/64
ADDRESS = 10.10.0.1
DNS = 10.0.0.53, fd00::53, example.com ~corp.example
dns = 192.0.2.53
MTU = 1380
Table = 1234
SaveConfig = true
PreUp = echo pre %i
PostUp = iptables -A FORWARD -i %i -j ACCEPT; echo a=b
PostUp = echo second
PreDown = echo down
PostDown = echo gone

[peer]
publickey = ${PUBLIC}
PresharedKey = ${PSK}
AllowedIPs = 10.192.122.3/32, 10.192.124.1/24
AllowedIPs = fd00:1::/48
Endpoint = VPN.example.com:51820
PersistentKeepalive = 25
`;

const [KEY, ADDRESS, PEER] = [`PrivateKey = ${PRIVATE}`, "Address = 10.0.0.1/24", `[Peer]\nPublicKey = ${PUBLIC}`];

Deno.test("a file with every setting is read as what it says", () => {
  const config = parseQuickConfig(EVERYTHING);
  const [peer] = config.peers as [QuickPeer];
  assertEquals(keyToBase64(config.privateKey!), PRIVATE);
  assertEquals([config.listenPort, config.fwmark, config.mtu, config.table], [51820, 0xca6c, 1380, 1234]);
  assertEquals(config.addresses.map(({ address, bits }) => `${formatIp(address)}/${bits}`), [
    "10.192.122.1/24",
    "fd00::1/64",
    "10.10.0.1/32",
  ]);
  assertEquals(config.dnsServers.map(formatIp), ["10.0.0.53", "fd00::53", "192.0.2.53"]);
  assertEquals(config.dnsSearchDomains, ["example.com", "~corp.example"]);
  assertEquals(config.saveConfig, true);
  assertEquals(config.preUp, ["echo pre %i"]);
  assertEquals(config.postUp, ["iptables -A FORWARD -i %i -j ACCEPT; echo a=b", "echo second"]);
  assertEquals([config.preDown, config.postDown], [["echo down"], ["echo gone"]]);
  assertEquals(config.peers.length, 1);
  assertEquals(keyToBase64(peer.publicKey), PUBLIC);
  assertEquals(keyToBase64(peer.presharedKey!), PSK);
  assertEquals(peer.allowedIps.map(formatCidr), ["10.192.122.3/32", "10.192.124.0/24", "fd00:1::/48"]);
  assertEquals([peer.endpoint, peer.persistentKeepaliveS], [{ host: "vpn.example.com", port: 51820 }, 25]);
});

Deno.test("the ends of lines of Windows, its mark at the start and a missing last end make no difference", () => {
  const config = parseQuickConfig(EVERYTHING);
  assertEquals(parseQuickConfig(`\uFEFF${EVERYTHING.replaceAll("\n", "\r\n")}`), config);
  assertEquals(parseQuickConfig(EVERYTHING.trimEnd()), config);
});

const good: [name: string, lines: string, read: (config: QuickConfig) => unknown, value: unknown][] = [
  ["an empty file", "", (config) => config, emptyQuickConfig()],
  ["FwMark off", "FwMark = OFF", (config) => config.fwmark, 0],
  ["a decimal FwMark", "FwMark = 51820", (config) => config.fwmark, 51820],
  ["ListenPort 0", "ListenPort = 0", (config) => config.listenPort, 0],
  ["the last of two ports", "ListenPort = 1\nListenPort = 2", (config) => config.listenPort, 2],
  ["Table off", "Table = Off", (config) => config.table, "off"],
  ["Table auto", "Table = auto", (config) => config.table, "auto"],
  ["a table's name", "Table = main", (config) => config.table, 254],
  ["an empty command", "PostUp =", (config) => config.postUp, []],
  ["two [Interface] sections", "MTU = 1300\n[Interface]\nListenPort = 7", (config) => [config.mtu, config.listenPort], [
    1300,
    7,
  ]],
  ["keepalive off", `${PEER}\nPersistentKeepalive = off`, (config) => config.peers[0]!.persistentKeepaliveS, 0],
  ["no allowed addresses", `${PEER}\nAllowedIPs =`, (config) => config.peers[0]!.allowedIps, []],
  ["an IPv6 endpoint", `${PEER}\nEndpoint = [2001:DB8::1]:1`, (config) => config.peers[0]!.endpoint, {
    host: "2001:db8::1",
    port: 1,
  }],
  ["a link-local endpoint", `${PEER}\nEndpoint = [fe80::1%eth0]:1`, (config) => config.peers[0]!.endpoint, {
    host: "fe80::1%eth0",
    port: 1,
  }],
];

for (const [name, lines, read, value] of good) {
  Deno.test(`wg-quick files: ${name} is understood`, () => {
    assertEquals(read(parseQuickConfig(lines === "" ? "" : `[Interface]\n${lines}\n`)), value);
  });
}

const wrong: [name: string, text: string, line: number, says: string][] = [
  ["a setting before any section", KEY, 1, "must come after [Interface] or [Peer]"],
  ["an unknown section", "[Interface]\n\n[Pear]", 3, "must be [Interface] or [Peer]"],
  ["an unknown setting", "[Interface]\nListenPorts = 1", 2, "must be one of PrivateKey, ListenPort"],
  ["a peer's setting in [Interface]", `[Interface]\nPublicKey = ${PUBLIC}`, 2, "must be one of PrivateKey"],
  ["a device's setting in [Peer]", `${PEER}\nAddress = 10.0.0.1`, 3, "must be one of PublicKey"],
  ["a line without =", "[Interface]\nSaveConfig", 2, 'with "=" between'],
  ["a comment begun with ;", "[Interface]\n; hello", 2, 'with "=" between'],
  ["a peer without a key", `${PEER}\n# next\n[Peer]\nAllowedIPs = ::/0`, 4, "must have a PublicKey"],
  ["a key that is too short", "[Interface]\nPrivateKey = AAAA", 2, "PrivateKey must be a key"],
  ["port 65536", "[Interface]\nListenPort = 65536", 2, 'a port from 0 to 65535, got "65536"'],
  ["a port's name", "[Interface]\nListenPort = domain", 2, 'got "domain"'],
  ["a mark of 33 bits", "[Interface]\nFwMark = 0x100000000", 2, "0xffffffff"],
  ["an address with too many bits", "[Interface]\nAddress = 10.0.0.1/33", 2, 'got "10.0.0.1/33"'],
  ["an address of DNS that is none", "[Interface]\nDNS = 10.0.0.300", 2, 'got "10.0.0.300"'],
  ["a domain with a shell's letters", "[Interface]\nDNS = $(id)", 2, "DNS must be"],
  ["a tiny MTU", "[Interface]\nMTU = 100", 2, "a number from 576 to 65535"],
  ["a negative MTU", "[Interface]\nMTU = -1", 2, 'got "-1"'],
  ["table 0", "[Interface]\nTable = 0", 2, "the number of a table"],
  ["SaveConfig yes", "[Interface]\nSaveConfig = yes", 2, '"true" or "false"'],
  ["an allowed address that is none", `${PEER}\nAllowedIPs = 10.0.0.0/8,, ::/0`, 3, "a list of networks"],
  ["an endpoint without a port", `${PEER}\nEndpoint = example.com`, 3, "a host and a port"],
  ["an endpoint at port 0", `${PEER}\nEndpoint = example.com:0`, 3, "a host and a port"],
  ["an IPv6 endpoint without brackets", `${PEER}\nEndpoint = 2001:db8::1:51820`, 3, "a host and a port"],
  ["an endpoint that is no name", `${PEER}\nEndpoint = ex$ample:1`, 3, "a host and a port"],
  ["a keepalive of a day", `${PEER}\nPersistentKeepalive = 86400`, 3, "from 0 to 65535"],
];

for (const [name, text, line, says] of wrong) {
  Deno.test(`wg-quick files: ${name} is refused, with its line`, () => {
    const error = assertThrows(() => parseQuickConfig(text), QuickConfigError, says);
    assertEquals(error.line, line);
    assert(error.message.includes(`line ${line}: `), error.message);
  });
}

Deno.test("no key gets into an error, wherever it was put by mistake", () => {
  const names = [
    "",
    "PublicKey",
    "PrivateKey",
    "AllowedIPs",
    "Endpoint",
    "Address",
    "DNS",
    "Table",
    "MTU",
    "FwMark",
    "X",
  ];
  const separator = fc.constantFrom("=", " = ", " ", ":", "");
  const key = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => keyToBase64(bytes.slice()));
  const spoilt = fc.tuple(key, fc.constantFrom("", "=", "A", "/32", ":51820")).map(([key, tail]) => key + tail);
  const header = fc.constantFrom("", "[Interface]\n", "[Peer]\n", "[");
  fc.assert(
    fc.property(header, fc.constantFrom(...names), separator, key, spoilt, (header, name, separator, key, spoilt) => {
      for (const secret of [key, spoilt]) {
        try {
          parseQuickConfig(`${header}${name}${separator}${secret}`);
        } catch (error) {
          assertInstanceOf(error, QuickConfigError);
          assert(!error.message.includes(secret.slice(0, 20)), error.message);
          assert(!error.message.includes(secret.slice(20, 40)), error.message);
        }
      }
    }),
  );
});

const key = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => bytes.slice());
const address = fc.oneof(
  fc.uint8Array({ minLength: 4, maxLength: 4 }),
  fc.uint8Array({ minLength: 16, maxLength: 16 }),
).map((bytes) => bytes.slice());
const interfaceAddress = fc.tuple(address, fc.nat(16)).map(([address, share]) => ({
  address,
  bits: share * address.length / 2,
}));
const network = interfaceAddress.map(({ address, bits }) => networkOf(address, bits)!);
const host = fc.oneof(address.map(formatIp), fc.constantFrom("vpn.example.com", "fe80::1%eth0"));
const port = fc.integer({ min: 1, max: 65535 });
const command = fc.stringMatching(/^[a-z$%=;|&"'()\[\]]([ -"$-~]{0,30}[a-z])?$/);

const config: fc.Arbitrary<QuickConfig> = fc.record({
  privateKey: key,
  listenPort: fc.nat(65535),
  fwmark: fc.nat(0xffffffff),
  addresses: fc.array(interfaceAddress, { maxLength: 4 }),
  dnsServers: fc.array(address, { maxLength: 3 }),
  dnsSearchDomains: fc.array(fc.constantFrom("example.com", "~.", "~corp.example"), { maxLength: 2 }),
  mtu: fc.integer({ min: 576, max: 65535 }),
  table: fc.oneof(fc.constantFrom("auto" as const, "off" as const), fc.integer({ min: 1, max: 0xffffffff })),
  saveConfig: fc.boolean(),
  preUp: fc.array(command, { maxLength: 2 }),
  postUp: fc.array(command, { maxLength: 2 }),
  preDown: fc.array(command, { maxLength: 2 }),
  postDown: fc.array(command, { maxLength: 2 }),
  peers: fc.array(
    fc.record({
      publicKey: key,
      presharedKey: key,
      endpoint: fc.record({ host, port }),
      persistentKeepaliveS: fc.nat(65535),
      allowedIps: fc.array(network, { maxLength: 5 }),
    }, { requiredKeys: ["publicKey", "allowedIps"], noNullPrototype: true }),
    { maxLength: 4 },
  ),
}, {
  requiredKeys: [
    "addresses",
    "dnsServers",
    "dnsSearchDomains",
    "table",
    "saveConfig",
    "preUp",
    "postUp",
    "preDown",
    "postDown",
    "peers",
  ],
  noNullPrototype: true,
});

Deno.test("a configuration survives its text", () => {
  fc.assert(fc.property(config, (config) => {
    assertEquals(parseQuickConfig(formatQuickConfig(config)), config);
  }));
});

Deno.test("strip leaves what wg understands, and nothing of it out", () => {
  fc.assert(fc.property(config, (config) => {
    const { privateKey, listenPort, fwmark, peers } = config;
    assertEquals(parseQuickConfig(stripQuickConfig(config)), {
      ...emptyQuickConfig(),
      ...privateKey && { privateKey },
      ...listenPort !== undefined && { listenPort },
      ...fwmark !== undefined && { fwmark },
      peers,
    });
  }));
});

Deno.test("any text at all is read or refused with a line", () => {
  const valid = fc.oneof(fc.constant(EVERYTHING), config.map(formatQuickConfig));
  assertDecoderSurvives((bytes) => {
    try {
      parseQuickConfig(new TextDecoder().decode(bytes));
    } catch (error) {
      assertInstanceOf(error, QuickConfigError);
    }
  }, { valid: valid.map((text) => new TextEncoder().encode(text)), maxLength: 200 });
});

Deno.test("a file is the change that makes a device what it says, keys it lacks included", () => {
  const config = parseQuickConfig(
    `[Interface]\n${ADDRESS}\n${PEER}\nEndpoint = 192.0.2.1:7\nAllowedIPs = ::/0\n${PEER}`,
  );
  const endpoint = { address: new Uint8Array([192, 0, 2, 1]), port: 7 };
  const { publicKey } = config.peers[0]!;
  assertEquals(deviceChangeOf(config, (peer) => peer.endpoint && endpoint), {
    privateKey: new Uint8Array(32),
    listenPort: 0,
    fwmark: 0,
    replacePeers: true,
    peers: [
      {
        publicKey,
        endpoint,
        replaceAllowedIps: true,
        allowedIps: [{ cidr: { address: new Uint8Array(16), bits: 0 } }],
      },
      { publicKey, replaceAllowedIps: true, allowedIps: [] },
    ],
  });
});

Deno.test("what a device says becomes a file, without what it does not have", () => {
  const { peers: [peer], privateKey } = parseQuickConfig(EVERYTHING);
  const { publicKey } = peer!;
  const counts = { receivedBytes: 1, sentBytes: 2, lastHandshakeMs: 3 };
  const status = {
    privateKey: privateKey!,
    listenPort: 7,
    fwmark: 0x10,
    peers: [{
      ...counts,
      publicKey,
      endpoint: { address: new Uint8Array([192, 0, 2, 1]), port: 7 },
      persistentKeepaliveS: 25,
      allowedIps: peer!.allowedIps,
    }, { ...counts, publicKey, persistentKeepaliveS: 0, allowedIps: [] }],
  };
  assertEquals(
    formatQuickConfig(quickConfigOf(status)),
    `[Interface]
ListenPort = 7
FwMark = 0x10
PrivateKey = ${PRIVATE}

[Peer]
PublicKey = ${PUBLIC}
AllowedIPs = 10.192.122.3/32, 10.192.124.0/24, fd00:1::/48
Endpoint = 192.0.2.1:7
PersistentKeepalive = 25

[Peer]
PublicKey = ${PUBLIC}
`,
  );
});
