import { assert, assertEquals, assertNotEquals } from "@std/assert";
import fc from "fast-check";
import { FakeClock } from "../../testing/fake_clock.ts";
import { anyBytes, assertDecoderSurvives, mutationsOf } from "../../testing/fuzz.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import type { Bytes } from "../primitives.ts";
import { ClientTable } from "../sealed_packets/clients.ts";
import { drawSecretText, parseNamedSecret, parseServerKey } from "../sealed_packets/credentials.ts";
import { portableWireGuardCrypto } from "../wireguard/crypto.ts";
import { encodeAdmission, encodeAdmissionRequest, parseAdmission, parseAdmissionRequest } from "./admission.ts";
import { ClientGate, type GateAnswer } from "./client_gate.ts";
import { ServerGate } from "./server_gate.ts";

class Rig {
  readonly clock = new FakeClock();
  readonly random = new SeededRandom(5);
  readonly tools = { crypto: portableWireGuardCrypto, random: this.random };
  readonly server = parseServerKey(portableWireGuardCrypto, drawSecretText(this.random));
  readonly secret = parseNamedSecret(`one=${drawSecretText(this.random)}`);
  readonly certificateKey = this.random.fill(new Uint8Array(32));
  gate = this.newGate();

  newGate(): ServerGate {
    const clients = new ClientTable(portableWireGuardCrypto, this.server, [this.secret]);
    const { server, certificateKey, clock } = this;
    return new ServerGate(this.tools, { server, clients, certificateKey, clock });
  }

  client(secret: Bytes = this.secret.secret, serverPublicKey: Bytes = this.server.publicKey): ClientGate {
    return new ClientGate(this.tools, { serverPublicKey, secret }, this.clock);
  }

  /** One whose clock is ahead of the server's. */
  hasty(aheadMs: number): ClientGate {
    const { clock } = this, credential = { serverPublicKey: this.server.publicKey, secret: this.secret.secret };
    const ahead = { now: () => clock.now(), wallNow: () => clock.wallNow() + aheadMs };
    return new ClientGate(this.tools, credential, ahead);
  }

  /** What the client makes of the server's answer to its next hello. */
  ask(client: ClientGate): GateAnswer | undefined {
    const hello = client.hello();
    assert(this.gate.isHello(hello, 0, hello.length));
    const verdict = this.gate.receive(hello, 0, hello.length, "10.0.0.2");
    if (verdict.kind === "ignored") return undefined;
    const answer = verdict.kind === "admitted" ? verdict.answer() : verdict.answer;
    return client.read(answer, 0, answer.length);
  }
}

function tokenOf(answer: GateAnswer | undefined): string {
  assert(answer?.kind === "admitted");
  return answer.admission.token.toHex();
}

Deno.test("a known client is let in, and told the key to trust; asking again gives the same token", () => {
  const rig = new Rig();
  using client = rig.client();
  const first = rig.ask(client);
  assert(first?.kind === "admitted");
  assertEquals(first.admission.certificateKey, rig.certificateKey);
  assertEquals(client.isAsking, false);
  rig.clock.advance(5000);
  assertEquals(tokenOf(rig.ask(client)), tokenOf(first));
});

Deno.test("another run of the client, and another of the server, has another token", () => {
  const rig = new Rig();
  using client = rig.client();
  using other = rig.client();
  const first = rig.ask(client);
  assertNotEquals(tokenOf(rig.ask(other)), tokenOf(first));
  rig.clock.advance(5000);
  rig.gate = rig.newGate();
  rig.clock.advance(5000);
  const again = rig.ask(client);
  assertNotEquals(tokenOf(again), tokenOf(first));
  assert(first?.kind === "admitted" && again?.kind === "admitted");
  assertNotEquals(first.admission.instance, again.admission.instance);
});

Deno.test("a hello that is sent again by somebody else is not answered", () => {
  const rig = new Rig();
  using client = rig.client();
  const hello = client.hello();
  assertEquals(rig.gate.receive(hello, 0, hello.length, "10.0.0.2").kind, "admitted");
  assertEquals(rig.gate.receive(hello, 0, hello.length, "10.0.0.2").kind, "ignored");
});

Deno.test("who has no secret is told so, and who has not even the server's key hears nothing", () => {
  const rig = new Rig();
  using stranger = rig.client(rig.random.fill(new Uint8Array(32)));
  const answer = rig.ask(stranger);
  assertEquals(answer?.kind === "refused" && answer.reason, "unauthorized");
  using prober = rig.client(
    rig.secret.secret,
    parseServerKey(portableWireGuardCrypto, drawSecretText(rig.random)).publicKey,
  );
  const hello = prober.hello();
  assertEquals(rig.gate.isHello(hello, 0, hello.length), false);
  assertEquals(rig.gate.receive(hello, 0, hello.length, "10.0.0.2").kind, "ignored");
});

Deno.test("a client that there is no room for is told so", () => {
  const rig = new Rig();
  using client = rig.client();
  const hello = client.hello();
  const verdict = rig.gate.receive(hello, 0, hello.length, "10.0.0.2");
  assert(verdict.kind === "admitted");
  const refusal = verdict.refuse();
  const answer = client.read(refusal, 0, refusal.length);
  assertEquals(answer?.kind === "refused" && answer.reason, "busy");
});

Deno.test("a client whose clock is wrong is told so, and goes by the server's from then on", () => {
  const rig = new Rig();
  using client = rig.hasty(3_600_000);
  const answer = rig.ask(client);
  assertEquals(answer?.kind === "refused" && answer.reason, "clock");
  rig.clock.advance(2000);
  assertEquals(rig.ask(client)?.kind, "admitted");
  rig.clock.advance(2000);
  assertEquals(rig.ask(client)?.kind, "admitted");
});

Deno.test("answers are not awaited for ever", () => {
  const rig = new Rig();
  using client = rig.client();
  client.hello();
  rig.clock.advance(9000);
  client.hello();
  rig.clock.advance(2000);
  client.giveUpOld();
  assertEquals(client.isAsking, true);
  rig.clock.advance(9000);
  client.giveUpOld();
  assertEquals(client.isAsking, false);
});

Deno.test("the answer is never longer than the hello", () => {
  const rig = new Rig();
  using client = rig.client();
  for (let turn = 0; turn < 50; turn++) {
    rig.clock.advance(1000);
    const hello = client.hello();
    const verdict = rig.gate.receive(hello, 0, hello.length, "10.0.0.2");
    assert(verdict.kind === "admitted" && verdict.answer().length <= hello.length);
  }
});

Deno.test("hellos and answers that were changed let nobody in, and nothing throws", () => {
  const rig = new Rig();
  using client = rig.client();
  const hello = client.hello();
  fc.assert(
    fc.property(mutationsOf(fc.constant(hello)), (bytes) => {
      if (bytes.length === hello.length && bytes.every((byte, at) => byte === hello[at])) return;
      assertNotEquals(rig.gate.receive(bytes, 0, bytes.length, "10.0.0.2").kind, "admitted");
    }),
    { numRuns: 200 },
  );
  fc.assert(fc.property(anyBytes(1300), (bytes) => client.read(bytes, 0, bytes.length) === undefined), {
    numRuns: 200,
  });
});

Deno.test("what is said in a hello is read as it was written, and any bytes are survived", () => {
  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length }).map((each) => each.slice());
  const admissions = fc.record({ instance: bytes(8), token: bytes(16), certificateKey: bytes(32) });
  fc.assert(fc.property(admissions, (admission) => {
    assertEquals(parseAdmission(encodeAdmission(admission)), admission);
  }));
  fc.assert(fc.property(bytes(16), (resume) => {
    assertEquals(parseAdmissionRequest(encodeAdmissionRequest(resume)), resume);
  }));
  assertDecoderSurvives((any) => parseAdmission(any.slice()));
  assertDecoderSurvives((any) => parseAdmissionRequest(any.slice()));
});
