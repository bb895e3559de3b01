/** What a newcomer reads first, and the ways to run and to watch what there is: some of it in the folder of the checkout. */

import type { Play, Story, Turn } from "../story.ts";
import { peerIdIn, seesHello, startSite } from "./parts.ts";

const inCheckout = async (play: Play) => void await play.type('cd "$CULVERT_CHECKOUT"', { on: "all" });

/** Each network that `up` runs is there instead of the one before. */
const upTurns = (rest: string, after: (play: Play) => Promise<void>): Turn => ({
  begins: `culvert up${rest}`,
  before: (play) => play.stopAll(),
  after,
});
const hello = async (play: Play) => void await seesHello(play, "here");
const nothing = () => Promise.resolve();
const HELLO = /Hello from the far end of the culvert\./;

/** What begins with a folder that only the working folder has is found there. */
const TLS_FILES = [["chain.pem", "/home/me/files/chain.pem"], ["key.pem", "/home/me/files/key.pem"]] as const;

function machinesOf(...names: readonly string[]): Story["machines"] & object {
  return Object.fromEntries(names.map((name) => [name, { names: [`${name}.example.org`] }]));
}

export const readme: Story = {
  document: "README.md",
  machines: {
    here: {},
    ...machinesOf("base", "u1", "u2", "u3", "d1", "d2", "d3", "c1", "r1", "r2"),
    server: { names: ["server.example", "exit.example.org", "tracker.example"] },
  },
  before: inCheckout,
  turns: [
    { begins: "culvert up --plan", before: (play) => play.stopAll(), after: hello },
    {
      begins: "export CULVERT_BASE",
      before: (play) => play.stopAll(),
      instead: TLS_FILES,
    },
    { begins: "culvert base", on: "base" },
    {
      begins: "culvert upstream",
      on: "u1",
      after: (play) => startMore(play, "upstream", [["u2", 8461], ["u3", 8461]]),
    },
    {
      begins: "culvert downstream",
      on: "d1",
      after: (play) => startMore(play, "downstream", [["d2", 8462], ["d3", 8462]]),
    },
    { begins: "culvert relay", on: "r1", after: (play) => startMore(play, "relay", [["r2", 8470]]) },
    { begins: "culvert gateway", on: "c1" },
    { begins: "culvert central", on: "c1" },
    { begins: "culvert proxy --path 'fragments", after: hello },
    { begins: "export CULVERT_TOKEN", on: "here", before: (play) => play.stopAll(), after: shareToken },
    {
      begins: "deno run -A roles/tunnel.ts",
      on: "server",
      // Root, for the port.
      instead: [["deno", 'sudo CULVERT_TOKEN="$CULVERT_TOKEN" deno'], ...TLS_FILES],
    },
    { begins: "deno run -A roles/proxy.ts", after: hello },
    {
      begins: "culvert kcp invite",
      on: "server",
      before: (play) => play.stopAll(),
      learns: { CREDENTIAL: /\/\/([^@]+)@/ },
    },
    { begins: "culvert kcp server", on: "server" },
    { begins: "culvert kcp client", after: hello },
    upTurns(" --with sharing", nothing),
    upTurns(" --with files", nothing),
    {
      begins: "culvert peer ~/Shared",
      async before(play) {
        await play.stopAll();
        await play.type("mkdir -p ~/Shared/films && head -c 100000 /dev/urandom > ~/Shared/films/holiday.mkv");
        const tls = "--cert-file /home/me/files/chain.pem --key-file /home/me/files/key.pem";
        await play.type(`sudo culvert tracker --listen :443 ${tls}`, { on: "server" });
      },
    },
    { begins: "culvert peer share", learns: { TICKET: /(CULVERT:\S+)/ } },
    {
      begins: "culvert peer get",
      on: "server",
      instead: [["culvert", "cd ~ && culvert"], ["CULVERT:AEAB…", "TICKET"]],
    },
    {
      begins: "culvert manager watch",
      before: async (play) => void await play.type("culvert manager"),
      instead: [["culvert manager watch", "script -qec 'culvert manager watch' /dev/null"]],
      input: "q",
    },
    { begins: "curl", prints: HELLO },
  ],
};

async function startMore(play: Play, role: string, others: readonly (readonly [string, number])[]): Promise<void> {
  for (const [on, port] of others) {
    await play.type(`culvert ${role} --listen :${port} --advertise https://${on}.example.org:${port} $TLS`, { on });
  }
}

/** The same token on the other machine, as a reader copies it. */
async function shareToken(play: Play): Promise<void> {
  await play.type('echo "$CULVERT_TOKEN"', { on: "here", learns: { TUNNEL_TOKEN: /(\S+)/ } });
  await play.type("export CULVERT_TOKEN=TUNNEL_TOKEN", { on: "server" });
}

export const fiveMinutes: Story = {
  document: "docs/five-minutes.md",
  machines: {
    laptop: {},
    server: { names: ["sn.example.org"] },
    home: {},
    internet: { names: ["icanhazip.com"] },
  },
  before: (play) => startSite(play, "internet"),
  turns: [
    { begins: "sudo culvert supernode", on: "server", learns: { PEERID: peerIdIn } },
    { begins: "sudo culvert exit", on: "home" },
    { begins: "sudo culvert client status", prints: /exit/ },
    // Of the exit, the third of the machines.
    { begins: "curl https://icanhazip.com", prints: /^11\.7\.0\.13$/m },
    { begins: "sudo culvert admin", on: "server", prints: /█/ },
  ],
};

export const deployments: Story = {
  document: "docs/deployments.md",
  machines: { here: {}, server: { names: ["server.example"], addresses: ["192.0.2.7"] } },
  before: inCheckout,
  turns: [
    upTurns("", hello),
    {
      begins: "culvert kcp invite",
      on: "server",
      before: (play) => play.stopAll(),
      learns: { CREDENTIAL: /\/\/([^@]+)@/ },
    },
    { begins: "culvert kcp server", on: "server" },
    { begins: "culvert kcp client", after: hello },
    {
      begins: "culvert proxy --path 'kcp+udp",
      instead: [["culvert", "sudo culvert"]],
      async before(play) {
        await play.stop("culvert kcp client");
        await play.type("sudo culvert vtcp server --state-dir ~/.local/state/culvert", { on: "server" });
      },
      after: hello,
    },
    {
      begins: "culvert proxy --path socks5",
      async before(play) {
        await play.stop("culvert proxy");
        for (const port of [1081, 14000]) {
          await play.type(`culvert proxy --listen 127.0.0.1:${port} --state-dir /tmp/${port}`);
        }
      },
      after: hello,
    },
  ],
};

export const edge: Story = {
  document: "edge/README.md",
  before: inCheckout,
  turns: [
    { begins: "deno run", stays: true, prints: /"listen"|"ready"/ },
    {
      begins: "deno run --allow-net --allow-env --unstable-kv edge/main_tracker.ts",
      stays: true,
      prints: /"listen"|"ready"/,
      before: (play) => play.stopAll(),
    },
  ],
};

export const executables: Story = { document: "docs/executables.md", before: inCheckout };
