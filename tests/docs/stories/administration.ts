/** Documents of who looks after what runs: a supernode, proxies, packet relays, tunnels, the manager. */

import type { Play, Story } from "../story.ts";

const TLS = "--cert-file chain.pem --key-file key.pem";

export const admin: Story = {
  document: "docs/admin.md",
  machines: { supernode: { names: ["sn.example"] }, exit: {}, europe: {}, client: {} },
  async before(play) {
    await startNetwork(play);
    // Another machine, by name only.
    const ssh = `#!/bin/sh\\nshift; cd /tmp; exec sh -c "$*"\\n`;
    await play.type(`printf '${ssh}' | sudo tee /usr/local/bin/ssh && sudo chmod 755 /usr/local/bin/ssh`);
  },
  turns: [
    // Who is connected is shown by peer id, which is left to chance.
    { begins: "culvert admin streams", anyOrder: true },
    { begins: "culvert admin export-config --peer phone --qr", prints: /█/ },
    { begins: "culvert admin export-config --peer tablet --qr --cert", prints: /█/ },
    {
      begins: "culvert admin export-config --peer router",
      async before(play) {
        await play.type("sudo culvert exit --tun --supernode https://SUPERNODE@sn.example:8443/ --region eu", {
          on: "europe",
        });
      },
    },
    {
      begins: "culvert admin export-config --peer tablet --qr$",
      before: closeNetwork,
      code: 1,
      learns: { PEERID: /--peer ([a-z2-7]{26})/ },
    },
    {
      begins: "culvert admin export-config --peer tv",
      after: async (play) => void await play.type("grep PrivateKey /tmp/wg0.conf"),
    },
  ],
};

/** The same machines, in a network that was closed meanwhile. */
async function closeNetwork(play: Play): Promise<void> {
  await play.stopAll();
  await play.type("culvert enroll --new-network network.key", { learns: { NETWORK: /public key +(\S+)/ } });
  for (const [role, sudo] of [["supernode", ""], ["exit", "sudo "], ["client", ""]] as const) {
    await play.type(`${sudo}culvert keys`, { on: role, learns: { MEMBER: /peer id +(\S+)/ } });
    await play.type(
      `culvert enroll --network-key network.key --peer MEMBER --role ${role} --days 9 --out ${role}.cert`,
    );
    await play.type(`${sudo}culvert enroll --install ${role}.cert`, { on: role });
  }
  await startNetwork(play, "--network-public-key NETWORK");
}

async function startNetwork(play: Play, flags = ""): Promise<void> {
  await play.type(
    `culvert supernode --region north --listen :8443 --advertise https://sn.example:8443/ ${TLS} ${flags}`,
    {
      learns: { SUPERNODE: /https:\/\/([a-z2-7]{26})@/ },
    },
  );
  const supernode = "--supernode https://SUPERNODE@sn.example:8443/";
  await play.type(`sudo culvert exit --tun ${supernode} --region north ${flags}`, { on: "exit" });
  await play.type(`culvert client ${supernode} ${flags}`, { on: "client" });
  await play.type("culvert admin sessions", { learns: { SESSION: /^([\w-]{16,})/m } });
  await play.type("culvert admin streams", { learns: { PEER: /([a-z2-7]{26}) +client/ } });
}

export const balance: Story = {
  document: "docs/balance-and-ab.md",
  async before(play) {
    for (const port of [1081, 1082]) {
      await play.type(`culvert proxy --listen 127.0.0.1:${port} --state-dir /tmp/${port}`);
    }
  },
  turns: [
    {
      begins: "culvert proxy --path",
      after: async (play) =>
        void await play.type("for _ in 1 2 3; do curl -sS -x socks5h://127.0.0.1:1080 http://hello.culvert/; done"),
    },
    { begins: "culvert proxy report", prints: /Split for/ },
    {
      begins: "sudo culvert proxy report",
      async before(play) {
        await play.stop("culvert proxy --path");
        await play.type(
          "sudo culvert proxy --path socks5://127.0.0.1:1081 --path socks5://127.0.0.1:1082 --combine split --state-dir /var/lib/culvert-NAME",
        );
      },
    },
  ],
};

export const relayPackets: Story = {
  document: "docs/relay-packets.md",
  machines: { relay: { names: ["relay.example"] } },
  turns: [
    { begins: "culvert relay-packets --show", prints: /@relay\.example:7430/ },
    { begins: "culvert relay-packets --client alice --allow", before: (play) => play.stop("culvert relay-packets") },
  ],
};

export const trust: Story = {
  document: "docs/trust.md",
  machines: { base: { names: ["base.example.org"] }, supernode: { names: ["eu.example.org"] } },
  before: async (play) =>
    void await play.type("cp /run/stage/shared/certificates/ours.pem . && cp chain.pem me.pem && cp key.pem me.key"),
  turns: [{ begins: "sudo culvert supernode", on: "supernode" }],
};

export const wireguard: Story = {
  document: "docs/wireguard.md",
  turns: [
    {
      begins: "sudo culvert wireguard up",
      stays: true,
      async before(play) {
        const [here, there] = ["PrivateKey = $(cat private.key)", "PublicKey = $(wg genkey | wg pubkey)"];
        const lines = [
          "[Interface]",
          here,
          "Address = 10.0.0.1/24",
          "ListenPort = 51820",
          "",
          "[Peer]",
          there,
          "AllowedIPs = 10.0.0.2/32",
        ];
        await play.type(`(umask 077; printf '%s\\n' ${lines.map((line) => `"${line}"`).join(" ")} > wg0.conf)`);
        await play.type("sudo mkdir -p /etc/wireguard && sudo cp wg0.conf /etc/wireguard/");
      },
    },
    { begins: "wg syncconf", instead: [["wg syncconf", "sudo bash -c 'wg syncconf"], ["strip wg0)", "strip wg0)'"]] },
  ],
};

export const operations: Story = {
  document: "docs/operations.md",
  before: async (play) => void await play.type("mkdir services && sudo mkdir -p /etc/culvert/services"),
  turns: [
    // The manager whose state is shown: as a user, where there is no systemd.
    { begins: "culvert manager status", before: async (play) => void await play.type("culvert manager") },
    {
      begins: "culvert manager watch",
      instead: [["culvert manager watch", "script -qec 'culvert manager watch' /dev/null"]],
      input: "q",
    },
    { begins: "culvert manager --services ./services", before: (play) => play.stop("culvert manager") },
    { begins: "culvert manager --services /etc", before: (play) => play.stop("culvert manager") },
  ],
};
