/**
 * How a node and an orchestrator meet, and what they say to each other: docs/node-protocol.md, "Meeting" and "Messages".
 */

import { delay } from "../../protocol/clock.ts";
import { faultOfHello, isAnswerGenuine, isConsentSigned, makeChallenge } from "../../protocol/sharing/node_auth.ts";
import { ANSWER_MS, type Check, connected, demand, QUIET_MS } from "./bench.ts";
import { clock, primitives, random } from "./scripted_orchestrator.ts";

export const meetingChecks: readonly Check[] = [
  {
    name: "it connects to /v1/node and says nothing before the challenge",
    async run({ orchestrator, firstMs }) {
      const first = await orchestrator.connection(0, firstMs);
      await delay(clock, QUIET_MS / 3);
      demand(
        !first.isOver && first.heard.length === 0 && first.faults.length === 0,
        first.faults[0] ?? "it spoke first",
      );
    },
  },
  {
    name: "its hello fits the challenge: version, id, key, signature",
    async run({ orchestrator }) {
      const first = orchestrator.connections[0]!;
      const fault = faultOfHello(await first.greet(), first.challenge, primitives);
      demand(fault === undefined || fault === "consent_needed", `the hello is not good: ${fault}`);
    },
  },
  {
    name: "its consent is signed with its key",
    run: ({ orchestrator }) => {
      const { hello } = orchestrator.connections[0]!;
      demand(hello && isConsentSigned(hello.consent, hello.publicKey, primitives), "the consent is not signed");
      return Promise.resolve();
    },
  },
  {
    name: "it gives its enrolment code, and the first tunnel's index",
    run({ orchestrator, code }) {
      const { hello } = orchestrator.connections[0]!;
      demand(hello?.code === code, `the code is ${hello?.code ?? "left out"}`);
      demand(hello.tunnel.index === 0, `the first tunnel has index ${hello.tunnel.index}`);
      return Promise.resolve();
    },
  },
  {
    name: "once welcome, it answers pings with how it is doing",
    async run(bench) {
      const pong = await (await connected(bench)).ping(1);
      demand(pong.status, "a pong had no status");
    },
  },
  {
    name: "it passes over messages and fields that it does not know",
    async run(bench) {
      const connection = await connected(bench);
      connection.say({ type: "gossip", about: ["anything"] });
      await connection.ping(2, ANSWER_MS, { later: { more: true } });
    },
  },
  {
    name: "it answers a later challenge",
    async run(bench) {
      const connection = await connected(bench);
      const challenge = makeChallenge(bench.orchestrator.identity.peerId, clock.wallNow(), random);
      connection.say(challenge);
      const answer = () => connection.heard.find((message) => message.type === "answer");
      await connection.until(() => answer() !== undefined, "an answer");
      const { hello: node, sessionId } = connection;
      demand(isAnswerGenuine(answer()!, { challenge, node: node!, sessionId }, primitives), "the answer is wrong");
    },
  },
];
