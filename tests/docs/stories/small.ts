/** Documents of which little has to be said. */

import type { Story } from "../story.ts";
import { emptyPolicy, peerIdIn, seesHello, startBase, startSupernode } from "./parts.ts";

const TLS = "--cert-file chain.pem --key-file key.pem";

export const base: Story = { document: "docs/base.md", machines: { base: { names: ["base.example"] } } };

export const circuits: Story = {
  document: "docs/circuits.md",
  machines: {
    laptop: {},
    base: { names: ["base.example"] },
    r1: { names: ["r1.example"] },
    r2: { names: ["r2.example"] },
    gateway: {},
  },
  files: { "policy.toml": emptyPolicy },
  before: (play) => startBase(play, "base", "base.example"),
  turns: [
    {
      begins: "culvert relay",
      on: "r1",
      async after(play) {
        await play.type(
          `culvert relay --base https://base.example --listen :8470 --advertise https://r2.example:8470 ${TLS}`,
          { on: "r2" },
        );
      },
    },
    { begins: "culvert gateway", on: "gateway" },
    { begins: "culvert proxy", after: async (play) => void await seesHello(play, "laptop") },
  ],
};

export const fragmentRelays: Story = {
  document: "docs/fragment-relays.md",
  machines: {
    upstream: { names: ["u.example"] },
    downstream: { names: ["d.example"] },
    base: { names: ["base.example"] },
  },
  before: (play) => startBase(play, "base", "base.example"),
  turns: [{ begins: "sudo culvert downstream", on: "downstream" }],
};

export const fragments: Story = {
  document: "docs/fragments.md",
  machines: {
    laptop: {},
    base: { names: ["base.example"] },
    ...Object.fromEntries(
      ["u1", "u2", "u3", "d1", "d2", "d3", "c1"].map((name) => [name, { names: [`${name}.example`] }]),
    ),
  },
  files: { "policy.toml": emptyPolicy },
  async before(play) {
    await startBase(play, "base", "base.example");
    const others = [["upstream", "u2", 8461], ["upstream", "u3", 8461], ["downstream", "d2", 8462], [
      "downstream",
      "d3",
      8462,
    ]] as const;
    for (const [role, name, port] of others) {
      await play.type(
        `culvert ${role} --base https://base.example --listen :${port} --advertise https://${name}.example:${port} ${TLS}`,
        { on: name },
      );
    }
  },
  turns: [
    { begins: "culvert upstream", on: "u1" },
    { begins: "culvert downstream", on: "d1" },
    { begins: "culvert central", on: "c1" },
    { begins: "culvert proxy", after: async (play) => void await seesHello(play, "laptop") },
  ],
};

export const relayOperators: Story = {
  document: "docs/relay-operators.md",
  machines: { gateway: {}, base: { names: ["base.example"] }, r1: { names: ["r1.example"] } },
  files: { "policy.toml": emptyPolicy },
  before: (play) => startBase(play, "base", "base.example"),
  turns: [{ begins: "culvert relay", on: "r1" }],
};

export const tracker: Story = {
  document: "docs/tracker.md",
  turns: [{ begins: "sudo culvert tracker", before: (play) => play.stop("culvert tracker") }],
};

export const peerProtocol: Story = {
  document: "docs/peer-protocol.md",
  machines: { relay: { names: ["r1.example"] }, tracker: { names: ["tracker.example"] } },
  async before(play) {
    await play.type(`sudo culvert tracker --listen :443 ${TLS}`, { on: "tracker" });
  },
};

export const client: Story = {
  document: "docs/client.md",
  machines: { laptop: {}, supernode: { names: ["sn.example"] }, exit: {} },
  async before(play) {
    await startSupernode(play, { on: "supernode", url: "https://sn.example:8443/", region: "eu-west" });
    await play.type("sudo culvert exit --tun --supernode https://PEERID@sn.example:8443/ --region eu-west", {
      on: "exit",
    });
  },
  turns: [
    { begins: "culvert client", after: async (play) => void await seesHello(play, "laptop") },
    {
      begins: "sudo culvert client up",
      async after(play) {
        await play.type("sudo culvert client status", { prints: /exit/ });
        await play.type("sudo culvert client down");
      },
    },
  ],
};

export const exit: Story = {
  document: "docs/exit.md",
  machines: { exit: {}, supernode: { names: ["sn.example"] } },
  before: (play) => startSupernode(play, { on: "supernode", url: "https://sn.example:8443/", region: "eu-west" }),
  turns: [{ begins: "sudo wg show", prints: /interface: cvexit0/ }, {
    begins: "sudo nft list table",
    prints: /table inet culvert_exit_cvexit0/,
  }],
};

export const terminatingRelay: Story = {
  document: "docs/terminating-relay.md",
  machines: { laptop: {}, supernode: { names: ["sn1.example"] }, base: { names: ["base.example"] }, exit: {} },
  before: (play) => startBase(play, "base", "base.example"),
  turns: [
    {
      begins: "sudo culvert supernode",
      on: "supernode",
      learns: { PEERID: peerIdIn },
      async after(play) {
        await play.type("sudo culvert exit --tun --supernode https://PEERID@sn1.example/ --region eu-west", {
          on: "exit",
        });
      },
    },
  ],
};

export const examples: Story = {
  document: "examples/README.md",
  before: async (play) => void await play.type('cd "$CULVERT_CHECKOUT"'),
  turns: [{ begins: "culvert up", after: async (play) => void await seesHello(play, "here") }],
};

export const observability: Story = {
  document: "docs/observability.md",
  before: async (play) => void await play.type('cd "$CULVERT_CHECKOUT"'),
  turns: [{ begins: "OTEL_DENO=true", stays: true, after: async (play) => void await seesHello(play, "here") }],
};
