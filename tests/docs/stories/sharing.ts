/** Shared bandwidth: an orchestrator with accounts, a node that shares, a client that pays. */

import type { Play, Story } from "../story.ts";
import { invitationIn, openAccounts, startSite } from "./parts.ts";

const TLS = "--cert-file chain.pem --key-file key.pem";
const SITE = "https://share.example";

async function startOrchestrator(play: Play, on: string): Promise<void> {
  await play.type(
    `sudo culvert orchestrator --listen :443 --proxy-listen :1090 --public-url ${SITE} ${TLS} --price 0.80`,
    {
      on,
      learns: { INVITATION: invitationIn },
    },
  );
  await openAccounts(play, on, SITE);
}

/** A zone in which it is three at night now, whatever the time. */
function zoneOfNight(): string {
  const ahead = (3 - new Date().getUTCHours() + 24) % 24;
  const hours = ahead > 12 ? ahead - 24 : ahead;
  return `Etc/GMT${hours > 0 ? "-" : "+"}${Math.abs(hours)}`;
}

export const sharing: Story = {
  document: "docs/sharing.md",
  machines: {
    laptop: {},
    orchestrator: { names: ["share.example"] },
    node: {},
    internet: { names: ["example.org"] },
  },
  before: (play) => startSite(play, "internet"),
  turns: [
    {
      begins: "sudo culvert orchestrator",
      on: "orchestrator",
      learns: { INVITATION: invitationIn },
      after: (play) => openAccounts(play, "orchestrator", SITE),
    },
    {
      begins: "culvert node",
      on: "node",
      // On a terminal it asks.
      instead: [["culvert node", "script -qec 'culvert node"], ['07:00"', `07:00"' /dev/null`]],
      input: "y\n",
      stays: true,
      prints: /ready/,
      before: async (play) => void await play.type(`export TZ=${zoneOfNight()} CULVERT_COUNTRY=de`, { on: "node" }),
    },
    { begins: "curl", prints: /^11\.7\.0\.13$/m },
  ],
};

export const node: Story = {
  document: "docs/node.md",
  machines: { node: {}, orchestrator: { names: ["share.example"] } },
  before: (play) => startOrchestrator(play, "orchestrator"),
  turns: [
    {
      begins: "culvert node --orchestrator https://share.example/ --code CODE",
      instead: [["culvert", "script -qec 'culvert"], ["CODE", "CODE' /dev/null"]],
      input: "y\n",
      stays: true,
      prints: /ready/,
    },
    {
      begins: "culvert node --orchestrator https://share.example/ --code CODE --yes",
      before: (play) => play.stop("culvert node"),
    },
    { begins: "culvert node status", prints: /state +sharing/ },
    { begins: "culvert node pause", after: async (play) => void await play.type("culvert node resume") },
  ],
};

export const orchestratorApi: Story = {
  document: "docs/orchestrator-api.md",
  machines: { orchestrator: { names: ["share.example"] } },
  async before(play) {
    await startOrchestrator(play, "orchestrator");
    await play.type(`export URL=${SITE}`);
  },
  turns: [
    {
      begins: "curl -s $URL/v1/session",
      instead: [["abcdefghijkl", "USERID"], ["…", "ACCOUNT_SECRET"]],
      learns: { ACCESS: /"accessToken":"([^"]+)"/ },
      after: async (play) => void await play.type("export TOKEN=ACCESS"),
    },
    { begins: "curl -s $URL/v1/balance", prints: /"available":"10\.00"/ },
  ],
};

export const orchestratorStores: Story = {
  document: "docs/orchestrator-stores.md",
  machines: { orchestrator: {}, stores: { names: ["db.example", "redis.example"] } },
  async before(play) {
    const on = "stores";
    await play.type(
      "export PATH=$PATH:$(echo /usr/lib/postgresql/*/bin) && cp key.pem /tmp/key.pem && chmod 600 /tmp/key.pem",
      { on },
    );
    await play.type(
      "initdb -D /tmp/postgres -A scram-sha-256 -U me --pwfile=<(echo secret) && echo 'hostssl all all all scram-sha-256' >> /tmp/postgres/pg_hba.conf",
      { on },
    );
    const settings =
      "-k /tmp -c listen_addresses=* -c ssl=on -c ssl_cert_file=$PWD/chain.pem -c ssl_key_file=/tmp/key.pem";
    await play.type(`postgres -D /tmp/postgres ${settings}`, {
      on,
      stays: true,
      prints: /ready to accept connections/,
    });
    const sql = "CREATE ROLE culvert LOGIN PASSWORD 'secret'; CREATE DATABASE culvert OWNER culvert";
    await play.type(`echo "${sql}" | sed "s/; /;\\n/" | PGPASSWORD=secret psql -h /tmp -v ON_ERROR_STOP=1 postgres`, {
      on,
    });
    const redisTls =
      "--tls-port 6379 --port 0 --tls-cert-file chain.pem --tls-key-file key.pem --tls-ca-cert-file chain.pem --tls-auth-clients no";
    await play.type(`redis-server ${redisTls} --bind 0.0.0.0 --requirepass secret --save ''`, {
      on,
      stays: true,
      prints: /Ready to accept connections/,
    });
  },
  turns: [{ begins: "CULVERT_DATABASE=", stays: true }],
};
