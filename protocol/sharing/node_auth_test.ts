import { assert, assertEquals } from "@std/assert";
import { portablePrimitives as primitives } from "../primitives.ts";
import { challenge, hello, node, orchestrator, sessionId, stranger, welcome } from "./fixtures/node_messages.ts";
import {
  faultOfHello,
  isAnswerGenuine,
  isConsentSigned,
  isWelcomeGenuine,
  makeAnswer,
  signConsent,
} from "./node_auth.ts";
import type { Hello } from "./node_messages.ts";

const otherToken = "A".repeat(22);

Deno.test("a hello that answers its challenge is taken", () => {
  assertEquals(faultOfHello(hello, challenge, primitives), undefined);
});

Deno.test("whoever changes a signed field of a hello, or the challenge it answers, is found out", () => {
  const changed: Record<string, Partial<Hello>> = {
    nonce: { nonce: otherToken },
    runId: { runId: otherToken },
    "tunnel's index": { tunnel: { ...hello.tunnel, index: 0 } },
    "tunnels' count": { tunnel: { ...hello.tunnel, count: 2 } },
    code: { code: "EFGH-1234" },
    "consent's version": { consent: { ...hello.consent, version: "1" } },
    "consent's text": { consent: { ...hello.consent, textHash: "another" } },
    "consent's time": { consent: { ...hello.consent, atMs: 1 } },
    signature: { signature: node.sign({ domain: "x", fields: [] }).toBase64() },
  };
  for (const [what, change] of Object.entries(changed)) {
    assertEquals(faultOfHello({ ...hello, ...change }, challenge, primitives), "bad_signature", what);
  }
  const { code: _, ...without } = hello;
  assertEquals(faultOfHello(without, challenge, primitives), "bad_signature");
  const others = [{ nonce: otherToken }, { timeMs: 1 }, { orchestratorId: stranger.peerId }];
  for (const other of others) {
    assertEquals(faultOfHello(hello, { ...challenge, ...other }, primitives), "bad_signature", JSON.stringify(other));
  }
});

Deno.test("a node cannot take another's name, nor show another's consent", () => {
  const wrongKey = { ...hello, publicKey: stranger.publicKey.toBase64() };
  assertEquals(faultOfHello(wrongKey, challenge, primitives), "wrong_node_id");
  assertEquals(faultOfHello({ ...hello, nodeId: stranger.peerId }, challenge, primitives), "wrong_node_id");
  assertEquals(faultOfHello({ ...hello, version: 2 }, challenge, primitives), "unsupported_version");
  const { signature } = signConsent(stranger, hello.consent);
  const borrowed = { ...hello, consent: { ...hello.consent, signature } };
  assertEquals(faultOfHello(borrowed, challenge, primitives), "consent_needed");
  assertEquals(isConsentSigned({ ...hello.consent, signature: "not base64!" }, hello.publicKey, primitives), false);
  assertEquals(isConsentSigned({ ...hello.consent, textHash: "\ud800" }, hello.publicKey, primitives), false);
});

Deno.test("a welcome is good for the hello it answers, from the orchestrator that was meant", () => {
  const expected = { orchestratorId: orchestrator.peerId, hello };
  assert(isWelcomeGenuine(welcome, expected, primitives));
  assertEquals(isWelcomeGenuine({ ...welcome, sessionId: otherToken }, expected, primitives), false);
  assertEquals(isWelcomeGenuine(welcome, { ...expected, orchestratorId: stranger.peerId }, primitives), false);
  const earlier = { ...expected, hello: { ...hello, nonce: otherToken } };
  assertEquals(isWelcomeGenuine(welcome, earlier, primitives), false);
  const another = { ...welcome, publicKey: stranger.publicKey.toBase64() };
  assertEquals(isWelcomeGenuine(another, expected, primitives), false);
});

Deno.test("an answer is good for its challenge, its node and its session", () => {
  const answer = makeAnswer(node, challenge, sessionId);
  const expected = { challenge, node: hello, sessionId };
  assert(isAnswerGenuine(answer, expected, primitives));
  const wrong = [
    { ...expected, sessionId: otherToken },
    { ...expected, challenge: { ...challenge, nonce: otherToken } },
    { ...expected, challenge: { ...challenge, timeMs: 1 } },
    { ...expected, node: { nodeId: stranger.peerId, publicKey: stranger.publicKey.toBase64() } },
  ];
  for (const other of wrong) assertEquals(isAnswerGenuine(answer, other, primitives), false);
});
