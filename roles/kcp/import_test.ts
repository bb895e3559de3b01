import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { parse as parseToml } from "@std/toml";
import fc from "fast-check";
import { readPaqetSettings } from "../../net/kcp/paqet_url.ts";
import { readCarrierSettings } from "../../net/packets/carrier_url.ts";
import { TransportUrl } from "../../net/transport_url.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { paqetDefaults } from "../../protocol/paqet/paqet_settings.ts";
import { LogCollector } from "../../testing/log_collector.ts";
import { importConfig, runImport } from "./import.ts";
import { importGfk, importGfkGo, importGfkPython } from "./import_gfk.ts";
import { importPaqet } from "./import_paqet.ts";
import { readAssignments } from "./python_values.ts";

const paqetClient = `
role: "client"
log: {level: none}
socks5:
  - listen: "127.0.0.1:1080"
  - {listen: ":1081", username: u, password: 1234}
forward:
  - {listen: "127.0.0.1:8080", target: "127.0.0.1:80", protocol: tcp}
  - {listen: "127.0.0.1:53", target: "[2001:db8::1]:53", protocol: udp}
network:
  interface: "eth0"
  guid: "\\\\Device\\\\NPF_{X}"
  ipv4: {addr: "192.168.1.100:0", router_mac: "AA-BB-CC-DD-EE-FF"}
  ipv6: {addr: "[2001:db8::100]:0", router_mac: "aa:bb:cc:dd:ee:00"}
  tcp: {local_flag: ["PA", "a"], remote_flag: ["S"]}
  pcap: {sockbuf: 4194304}
server: {addr: "203.0.113.5:9999"}
transport:
  protocol: "kcp"
  conn: 2
  kcp: {mode: manual, nodelay: 1, interval: 10, resend: 2, nocongestion: 1, wdelay: false, acknodelay: true, mtu: 1350,
    rcvwnd: 512, sndwnd: 128, dshard: 10, pshard: 3, block: aes-128-gcm, key: "testkey", smuxbuf: 4194304,
    streambuf: 2097152, smuxkalive: 2, smuxktimeout: 8}
`;

Deno.test("a client's configuration of paqet is understood whole", () => {
  const { notes, ...settings } = importPaqet(paqetClient);
  assertEquals(settings, {
    program: "paqet",
    side: "client",
    transport: "kcp",
    carrier: {
      look: "paqet",
      server: { host: "203.0.113.5", ports: { first: 9999, count: 1 } },
      interface: "eth0",
      source: "192.168.1.100",
      gatewayMac: "aa:bb:cc:dd:ee:ff",
      flags: ["PA", "A"],
      remoteFlags: ["S"],
    },
    key: "testkey",
    kcp: {
      crypt: "aes-128-gcm",
      mode: "manual",
      noDelay: true,
      intervalMs: 10,
      fastResend: 2,
      hasCongestionControl: false,
      writeDelay: false,
      ackNoDelay: true,
      mtuBytes: 1350,
      sendWindow: 128,
      receiveWindow: 512,
      dataShards: 10,
      parityShards: 3,
      links: 2,
    },
    mux: { sessionBufferBytes: 4_194_304, streamBufferBytes: 2_097_152, keepAliveMs: 2000, timeoutMs: 8000 },
    socks: [{ listen: "127.0.0.1:1080" }, { listen: ":1081", username: "u", password: "1234" }],
    forwards: [
      { protocol: "tcp", listen: "127.0.0.1:8080", target: "127.0.0.1:80" },
      { protocol: "udp", listen: "127.0.0.1:53", target: "[2001:db8::1]:53" },
    ],
    logLevel: "error",
  });
  assertEquals(notes, [
    "network.guid is left out: only Npcap of Windows needs it",
    "network.pcap.sockbuf is left out: nothing goes through pcap",
    "network.ipv6 is left out: a carrier has one source, and finds others itself",
  ]);
});

Deno.test("a server's configuration of paqet needs little", () => {
  const { carrier, kcp, side, backend, notes } = importPaqet(`
role: server
listen: {addr: ":9999"}
network: {interface: eth0, ipv4: {addr: "10.0.0.2:9999", router_mac: "aa:bb:cc:dd:ee:ff"}}
transport: {protocol: kcp, kcp: {mode: fast, key: k}}
colour: blue
`);
  assertEquals([side, backend, kcp], ["server", { host: "", isOpen: true }, { crypt: "aes", mode: "fast" }]);
  assertEquals(carrier.server, { ports: { first: 9999, count: 1 } });
  assertEquals([carrier.source, carrier.clientPorts], ["10.0.0.2", undefined]);
  assertEquals(notes, ["colour is not known, and is left out"]);
});

Deno.test("what is wrong in a configuration of paqet is told all at once", () => {
  const error = assertThrows(
    () =>
      importPaqet(`
role: client
server: {addr: nowhere}
socks5: [{listen: 1080}]
forward: {}
network: {tcp: {local_flag: [XY]}, ipv4: {router_mac: "1:2"}}
transport: {protocol: tcp, kcp: {block: twofish, mtu: 9000}}
`),
    CulvertError,
  );
  for (
    const words of [
      "server.addr must be the server's address and port",
      "socks5[0].listen must be an address and a port",
      "forward must be a list",
      "network.tcp.local_flag must be up to 64 of letters",
      "network.ipv4.router_mac must be a hardware address",
      'transport.protocol must be kcp, got "\\"tcp\\""',
      "transport.kcp.block is not spoken here",
      "transport.kcp.mtu must be a whole number from 50 to 1500, got",
      "transport.kcp.key must be given",
    ]
  ) assertStringIncludes(error.message, words);
});

const parameters = `# client:server port mapping
tcp_port_mapping = {14000:443,   # in front of "xray"
                    15000:2096,
                    }
udp_port_mapping = {17000:945}
vps_ip = "192.0.2.5"  # replace
xray_server_ip_address = '127.0.0.2'
vio_tcp_server_port = 45001
vio_tcp_client_port = 40000
vio_udp_server_port = 35000
quic_idle_timeout = 86400
quic_verify_cert = False
quic_mtu = 1420
quic_cert_filepath = ('cert.pem', 'key.pem')
quic_max_data = 1000 * 1024 * 1024
quic_auth_code = "jd!gn\\"0s4"
something_new = 1
`;

Deno.test("parameters of the Python programs are understood, for either side", () => {
  const { notes, ...client } = importGfk(parameters, "parameters.py", "client");
  assertEquals(client, {
    program: "gfk-py",
    side: "client",
    transport: "quic",
    carrier: {
      look: "gfk-py",
      server: { host: "192.0.2.5", ports: { first: 45_001, count: 1 } },
      clientPorts: { first: 40_000, count: 1 },
    },
    key: 'jd!gn"0s4',
    quic: { mtuBytes: 1420, idleTimeoutMs: 86_400_000 },
    socks: [],
    forwards: [
      { protocol: "tcp", listen: "127.0.0.1:14000", target: 443 },
      { protocol: "tcp", listen: "127.0.0.1:15000", target: 2096 },
      { protocol: "udp", listen: "127.0.0.1:17000", target: 945 },
    ],
  });
  for (
    const key of ["vio_udp_server_port", "quic_cert_filepath", "quic_max_data", "quic_verify_cert", "something_new"]
  ) {
    assert(notes.some((note) => note.startsWith(key)), key);
  }
  const server = importGfkPython(parameters, "server");
  assertEquals([server.backend, server.forwards], [{ host: "127.0.0.2", isOpen: false }, []]);
  assertThrows(() => importGfk(parameters, "parameters.py"), CulvertError, "a client or a server");
});

Deno.test("what is wrong in parameters is told", () => {
  const wrong = (text: string, words: string) =>
    assertThrows(() => importGfkPython(text, "client"), CulvertError, words);
  wrong("vio_tcp_server_port = 45000", "vps_ip must be given");
  wrong('vps_ip = "x"\nvio_tcp_server_port = 70000', "vio_tcp_server_port must be a whole number from 1 to 65535");
  wrong('vps_ip = "x"\ntcp_port_mapping = {"a": 443}', "tcp_port_mapping must be from ports to ports");
  wrong("import os", "line 1 must be name = value");
  wrong('vps_ip = "x"\nkey = open("secret")', "line 2 must be name = value");
  wrong("a = {1: 2", "must be name = value");
});

Deno.test("plain values of Python are read", () => {
  assertEquals(
    readAssignments(
      `a = -0x10\nb = (1)\nc = (1,)\nd = [1, "x" 'y', r'\\n', '\\n']\ne = None\nf = 1_000 * 3\ng = """l\n2"""\nh = {}\n` +
        `i = {"k": [True],\n}\nj = 1 \\\n * 2`,
    ),
    {
      __proto__: null,
      a: -16,
      b: 1,
      c: [1],
      d: [1, "xy", "\\n", "\n"],
      e: null,
      f: 3000,
      g: "l\n2",
      h: new Map(),
      i: new Map([["k", [true]]]),
      j: 2,
      // deno-lint-ignore no-explicit-any -- a record without a prototype
    } as any,
  );
});

const goClient = `
mode: client
transport: kcp
carrier: {vps_ip: 203.0.113.10, server_port: 45000, server_port_span: 8, client_port: 40000, client_port_span: 1, interface: "", mtu: 1400}
firewall: {manage: "no"}
auth: {key: secret}
kcp: {nodelay: 1, interval: 10, resend: 2, nc: 0, sndwnd: 512, rcvwnd: 512, fec_data: 10, fec_parity: 3, stream_buffer: 0}
client:
  socks5_listen: "127.0.0.1:1080"
  forwards:
    - {proto: tcp, listen: "127.0.0.1:14000", target_port: 443}
  keepalive_seconds: 4
  reconnect_seconds: 2
log_level: info
`;

Deno.test("configurations of the Go program are understood", () => {
  const { notes, ...client } = importGfk(goClient, "client.yaml");
  assertEquals(client, {
    program: "gfk-go",
    side: "client",
    transport: "kcp",
    carrier: {
      look: "gfk-go",
      server: { host: "203.0.113.10", ports: { first: 45_000, count: 8 } },
      maxPayloadBytes: 1400,
      manageFirewall: false,
      clientPorts: { first: 40_000, count: 1 },
    },
    key: "secret",
    kcp: {
      crypt: "aes",
      mode: "manual",
      noDelay: true,
      intervalMs: 10,
      fastResend: 2,
      hasCongestionControl: true,
      writeDelay: false,
      ackNoDelay: true,
      sendWindow: 512,
      receiveWindow: 512,
      dataShards: 10,
      parityShards: 3,
    },
    mux: { keepAliveMs: 4000 },
    socks: [{ listen: "127.0.0.1:1080" }],
    forwards: [{ protocol: "tcp", listen: "127.0.0.1:14000", target: 443 }],
    logLevel: "info",
  });
  assertEquals(notes, ["client.reconnect_seconds is left out: after a failure it is tried again at growing times"]);
  const server = importGfkGo(`
mode: server
transport: quic
carrier: {vps_ip: "10.0.0.5"}
auth: {key: secret}
quic: {keepalive_period: 4, max_idle_timeout: 8}
server: {backend_ip: 127.0.0.1, allow_socks5: true, allowed_ports: [443, 2096]}
`);
  assertEquals([server.quic, server.kcp], [{ keepAliveMs: 4000, idleTimeoutMs: 8000 }, undefined]);
  assertEquals(server.backend, { host: "127.0.0.1", isOpen: true, ports: [443, 2096] });
  assertEquals(server.carrier.source, "10.0.0.5");
});

Deno.test("what is no YAML is refused without its text", () => {
  for (const importer of [importPaqet, importGfkGo]) {
    const error = assertThrows(() => importer("key: [secret-text\n  x: {"), CulvertError, "it must be YAML");
    assert(!error.message.includes("secret-text"));
    assertThrows(() => importer(""), CulvertError);
    assertThrows(() => importer("just text"), CulvertError, "keys and values");
  }
});

Deno.test("any text is imported or refused in words", () => {
  const imports = [importPaqet, importGfkGo, (text: string) => importGfkPython(text, "server")];
  const meddled = fc.constantFrom(paqetClient, goClient, parameters).chain((text) =>
    fc.tuple(fc.nat(text.length), fc.nat(20), fc.string({ maxLength: 8 })).map(([at, length, insert]) =>
      text.slice(0, at) + insert + text.slice(at + length)
    )
  );
  fc.assert(
    fc.property(fc.oneof(fc.string(), meddled), (text) => {
      for (const importer of imports) {
        try {
          importer(text);
        } catch (error) {
          assert(error instanceof CulvertError, String(error));
        }
      }
    }),
    { numRuns: 400 },
  );
});

Deno.test("a file becomes a configuration of ours, which nobody else may read", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const file = `${directory}/config.yaml`, out = `${directory}/culvert.toml`;
    await Deno.writeTextFile(file, paqetClient);
    const printed: string[] = [];
    const log = new LogCollector();
    const run = (given: Record<string, unknown>, json = false) =>
      runImport(importConfig.parse(given), { json, log, print: (line) => void printed.push(line) });
    await run({ file, out });
    assertEquals((await Deno.stat(out)).mode! & 0o777, 0o600);
    const written = parseToml(await Deno.readTextFile(out));
    assertEquals(written, {
      "kcp-client": {
        server: [
          "kcp+raw://testkey@203.0.113.5:9999/?dialect=paqet&block=aes-128-gcm&mode=manual&nodelay=1&interval=10&resend=2" +
          "&nocongestion=1&wdelay=0&acknodelay=1&sndwnd=128&rcvwnd=512&dshard=10&pshard=3&conn=2&mtu=1350" +
          "&smuxbuf=4194304&streambuf=2097152&smuxkalive=2&smuxktimeout=8" +
          "&interface=eth0&source=192.168.1.100&gateway=aa%3Abb%3Acc%3Add%3Aee%3Aff&local_flag=PA%2CA&remote_flag=S",
        ],
        listen: ["127.0.0.1:1080", ":1081"],
        user: ["u:1234"],
        forward: ["tcp:127.0.0.1:8080=127.0.0.1:80", "udp:127.0.0.1:53=[2001:db8::1]:53"],
        log_level: "error",
      },
    });
    const [text] = (written["kcp-client"] as { server: string[] }).server;
    const url = new TransportUrl(text!, "kcp");
    const paqet = readPaqetSettings(url.settings, { ...paqetDefaults.client, key: url.key! });
    assertEquals([paqet.key, paqet.block, paqet.nodelay, paqet.smuxkalive], ["testkey", "aes-128-gcm", 1, 2]);
    assertEquals(readCarrierSettings(url, "paqet").gatewayMac, "aa:bb:cc:dd:ee:ff");
    assertEquals([url.settings.text("local_flag"), url.settings.text("remote_flag")], ["PA,A", "S"]);
    for (const name of ["dialect", "conn"]) assert(url.settings.text(name) !== undefined, name);
    url.settings.done();
    assertStringIncludes(log.text("warn"), "network.guid is left out");
    assertStringIncludes(log.text("warn"), "Users are asked for on every proxy");

    await Deno.writeTextFile(
      file,
      `role: server\nlisten: {addr: ":9999"}\nnetwork: {tcp: {local_flag: [PA]}}\ntransport: {conn: 2, kcp: {mode: fast2, key: k}}\n`,
    );
    await run({ file }, true);
    assertEquals(JSON.parse(printed.at(-1)!), {
      role: "kcp-server",
      values: { ports: "9999", carrier: "raw", dialect: "paqet", key: "k", crypt: "aes", settings: "mode=fast2" },
      notes: [
        "network.tcp.local_flag is left out: a server answers with the flags that its clients ask for, or PA",
      ],
    });

    await Deno.writeTextFile(`${directory}/parameters.py`, parameters);
    await run({ file: `${directory}/parameters.py`, side: "server" }, true);
    const { role, values } = JSON.parse(printed.at(-1)!);
    assertEquals([role, values.ports, values.backend], ["vtcp-server", "45001", "127.0.0.2"]);
    await Deno.writeTextFile(file, goClient);
    await run({ file });
    assertStringIncludes(
      printed.at(-1)!,
      "vtcp://secret@203.0.113.10:45000-45007/?dialect=gfk-go&carrier=kcp&mtu=1400&firewall=0",
    );
    assertStringIncludes(printed.at(-1)!, "tcp:127.0.0.1:14000=backend.invalid:443");
    assertStringIncludes(log.text("warn"), "must be 0 at the other end");
    await assertRejects(() => run({ file: `${directory}/none` }), CulvertError, "there is none");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
