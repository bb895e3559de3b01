/** The vectors in docs/node-protocol.md are what our own code signs, and every message there is one that it reads. */

import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { Identity } from "../../protocol/identity.ts";
import { portablePrimitives as primitives } from "../../protocol/primitives.ts";
import { signedBytes } from "../../protocol/signing.ts";
import {
  faultOfHello,
  isAnswerGenuine,
  isWelcomeGenuine,
  makeAnswer,
  makeHello,
  signConsent,
  welcomeProof,
} from "../../protocol/sharing/node_auth.ts";
import {
  challengeSchema,
  fromNodeSchema,
  fromOrchestratorSchema,
  helloSchema,
  NODE_REFUSALS,
} from "../../protocol/sharing/node_messages.ts";
import { virtualAddressOf } from "../../protocol/sharing/virtual_address.ts";

const text = await Deno.readTextFile(fromFileUrl(new URL("../../docs/node-protocol.md", import.meta.url)));
const vectors = JSON.parse(/## Test vectors[^]*?```json\n([^]*?)```/.exec(text)![1]!);

function identityOf(secretKeyHex: string): Identity {
  const identityKey = Uint8Array.fromHex(secretKeyHex);
  return new Identity({ identityKey, wireguardKey: new Uint8Array(32).fill(1) }, primitives);
}

const node = identityOf(vectors.nodeSecretKeyHex);
const orchestrator = identityOf(vectors.orchestratorSecretKeyHex);
const challenge = challengeSchema.parse(vectors.challenge);
const hello = helloSchema.parse(vectors.hello);

Deno.test("the names in the vectors follow from the keys", () => {
  assertEquals(node.publicKey.toBase64(), vectors.nodePublicKey);
  assertEquals([node.peerId, orchestrator.peerId], [vectors.nodeId, vectors.orchestratorId]);
  assertEquals(virtualAddressOf(node.peerId), vectors.virtualAddress);
});

Deno.test("the statements and signatures in the vectors are ours", () => {
  const { version, textHash, atMs } = vectors.consent;
  const consentStatement = signedBytes("culvert/node-consent/v1", [version, textHash, atMs]);
  assertEquals(consentStatement.toHex(), vectors.consentStatementHex);
  assertEquals(signConsent(node, { version, textHash, atMs }), vectors.consent);
  const { nonce, runId, tunnel, code, consent, info, egress, muxExtensions } = hello;
  const helloStatement = signedBytes("culvert/node-hello/v1", [
    ...[challenge.orchestratorId, challenge.nonce, challenge.timeMs, hello.nodeId, nonce, runId],
    ...[tunnel.index, tunnel.count, code!, consent.version, consent.textHash, consent.atMs],
  ]);
  assertEquals(helloStatement.toHex(), vectors.helloStatementHex);
  const details = { nonce, runId, tunnel, code: code!, consent, info, egress, muxExtensions: muxExtensions! };
  assertEquals(makeHello(node, challenge, details), hello);
  assertEquals(faultOfHello(hello, challenge, primitives), undefined);
  assertEquals(welcomeProof(orchestrator, hello, vectors.sessionId), vectors.welcomeProof);
  const welcome = { ...vectors.welcomeProof, sessionId: vectors.sessionId };
  assert(isWelcomeGenuine(welcome, { orchestratorId: orchestrator.peerId, hello }, primitives));
  assertEquals(makeAnswer(node, vectors.laterChallenge, vectors.sessionId), vectors.answer);
  const expected = { challenge: vectors.laterChallenge, node: hello, sessionId: vectors.sessionId };
  assert(isAnswerGenuine(vectors.answer, expected, primitives));
});

Deno.test("the page names every message, every field of one, and every refusal", () => {
  const schemas = [...fromNodeSchema.options, ...fromOrchestratorSchema.options];
  for (const { shape } of schemas) {
    const { value: type } = shape.type;
    assert(text.includes(type), `the page does not say ${type}`);
    for (const field of Object.keys(shape)) {
      assert(text.includes(`${field}`), `the page does not say ${field} of ${type}`);
    }
  }
  for (const code of NODE_REFUSALS) assert(text.includes(`\`${code}\``), `the page does not say ${code}`);
});
