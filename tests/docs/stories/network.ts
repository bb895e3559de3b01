/** A network in two regions, at first for streams, then for whole machines, and at last closed. */

import type { Story } from "../story.ts";
import { emptyPolicy, peerIdIn, seesHello, startSupernode } from "./parts.ts";

export const network: Story = {
  document: "docs/network.md",
  machines: {
    laptop: {},
    base: { names: ["base.example.org"] },
    eu: { names: ["eu.example.org"] },
    us: { names: ["us.example.org"] },
    exit: {},
  },
  files: { "policy.toml": emptyPolicy },
  turns: [
    { begins: "sudo culvert base", on: "base" },
    {
      begins: "sudo culvert supernode",
      on: "eu",
      learns: { "PEERID@eu": peerIdIn },
      // First, so that the other has heard of it from the start.
      async before(play) {
        await startSupernode(play, {
          on: "us",
          url: "https://us.example.org/",
          region: "us",
          placeholder: "PEERID@us",
          flags: "--base https://base.example.org/",
        });
      },
    },
    { begins: "culvert exit", on: "exit" },
    { begins: "culvert client" },
    {
      begins: "curl",
      // Until the supernodes have heard of each other.
      before: async (play) => void await seesHello(play, "laptop"),
      prints: /supernode .*\n.*\n.*supernode .*\n.*\n.*exit/,
    },
    {
      begins: "sudo culvert exit --tun",
      on: "exit",
      before: (play) => play.stop("culvert exit"),
    },
    { begins: "sudo culvert client up --tun", before: (play) => play.stop("culvert client") },
    {
      begins: "sudo culvert admin export-config",
      on: "us",
      prints: /█/,
      async before(play) {
        await play.type("sudo culvert client down");
      },
    },
    {
      begins: "culvert enroll --network-key",
      async before(play) {
        await play.type("culvert keys", { on: "exit", learns: { PEERID: /peer id +(\S+)/ } });
      },
    },
    { begins: "culvert enroll --install", on: "exit" },
  ],
};
