/** Transports for hostile networks, one after the other between a client and a server, and what finds out why they fail. */

import type { Story } from "../story.ts";

export const transports: Story = {
  document: "docs/transports.md",
  machines: {
    client: {},
    server: { names: ["server.example"], addresses: ["192.0.2.7", "203.0.113.7"] },
    relay: { names: ["relay.example"] },
  },
  files: {
    "config.yaml": `role: "client"
socks5:
  - listen: "127.0.0.1:1080"
network:
  interface: "eth0"
  ipv4:
    addr: "192.0.2.1:0"
    router_mac: "aa:bb:cc:dd:ee:ff"
server:
  addr: "192.0.2.7:9999"
transport:
  protocol: "kcp"
  kcp:
    mode: "fast"
    key: "K"
`,
    "parameters.py": `vps_ip = "192.0.2.7"
vio_tcp_server_port = 45001
quic_verify_cert = False
quic_auth_code = "K"
tcp_port_mapping = {14000: 443}
`,
  },
  turns: [
    { begins: "culvert kcp invite", on: "server", learns: { CREDENTIAL: /\/\/([^@]+)@/ } },
    { begins: "culvert kcp server", on: "server" },
    { begins: "sudo culvert kcp server", on: "server", before: (play) => play.stop("culvert kcp server") },
    { begins: "sudo culvert kcp client", before: (play) => play.stop("culvert kcp client") },
    { begins: "sudo culvert vtcp server", on: "server", before: (play) => play.stop("sudo culvert kcp server") },
    { begins: "sudo culvert vtcp client", before: (play) => play.stop("sudo culvert kcp client") },
    {
      begins: "sudo CULVERT_KEY=K culvert kcp server",
      on: "server",
      before: (play) => play.stop("CULVERT_KEY=K culvert kcp server"),
    },
    {
      begins: "culvert kcp client --server 'kcp+udp://K@",
      before: (play) => play.stop("sudo culvert vtcp client"),
    },
    { begins: "sudo culvert kcp client --server 'kcp+raw://K@", before: (play) => play.stop("culvert kcp client") },
    { begins: "sudo culvert vtcp client --server 'vtcp://K@", before: (play) => play.stop("sudo culvert kcp client") },
    {
      begins: "culvert kcp client --server 'kcp+udp://CREDENTIAL@203",
      before: (play) => play.stop("sudo culvert vtcp client"),
    },
    { begins: "curl", prints: /Hello from the far end of the culvert\./ },
    {
      begins: "CULVERT_KEY=K culvert kcp server",
      on: "server",
      before: (play) => play.stop("sudo culvert vtcp server"),
    },
    { begins: "sudo CULVERT_KEY=K culvert vtcp server", on: "server" },
    {
      begins: "sudo CULVERT_KEY=CREDENTIAL culvert kcp doctor",
      async before(play) {
        await play.stop("culvert kcp server");
        await play.type("sudo culvert kcp server --carrier both --state-dir ~/.local/state/culvert", { on: "server" });
      },
    },
    // It looks for ten seconds, and then ends by itself.
    { begins: "sudo culvert kcp doctor --listen", on: "server", stays: true, prints: /^/ },
    {
      begins: "sudo culvert kcp dump",
      on: "server",
      prints: /11\.7\.0\.11/,
      // Somebody whose packets there are to see.
      async before(play) {
        await play.stop("culvert kcp client");
        await play.type("sudo culvert kcp client --server 'kcp+raw://CREDENTIAL@192.0.2.7:4000/'");
      },
    },
    { begins: "culvert relay-packets", on: "relay" },
    { begins: "culvert relay-packets --show", on: "relay", learns: { SECRET: /([^\s@]+)@relay/ } },
  ],
};
