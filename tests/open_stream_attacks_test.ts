/**
 * What a peer that has been let in tries on its control stream, over real WebSockets: what is not understood is told of
 * and counted, what costs too much ends the stream, and nobody speaks for another.
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import type { CommandResult } from "../protocol/control/commands.ts";
import type { ControlMessage, ErrorCode } from "../protocol/control/messages.ts";
import { encodeBase64Url } from "../protocol/encoding.ts";
import { AttackedSupernode, newIdentity, random } from "./fixtures/attacked_supernode.ts";

const newId = () => encodeBase64Url(random.fill(new Uint8Array(16)));

interface Attack {
  readonly name: string;
  readonly says: (at: AttackedSupernode) => ControlMessage | string | Uint8Array<ArrayBuffer>;
  readonly code: ErrorCode;
  /** With which status code the stream ends, if it does. */
  readonly closes?: number;
}

const attacks: readonly Attack[] = [
  { name: "what is no JSON", says: () => "no", code: "malformed" },
  { name: "a message with a field that does not fit", says: () => '{"type":"ping","sequence":-1}', code: "malformed" },
  { name: "an unknown type", says: () => '{"type":"open.sesame"}', code: "unknown_type" },
  { name: "another auth request", says: (at) => at.auth(newIdentity()), code: "unexpected" },
  {
    name: "a command, as if it were the supernode",
    says: () =>
      JSON.stringify({
        type: "command",
        kind: "DISCONNECT",
        commandId: newId(),
        sequence: 1,
        issuedAtMs: 1,
        deadlineAtMs: 2,
        payload: { reason: "admin" },
      }),
    code: "unexpected",
  },
  { name: "a binary message", says: () => new Uint8Array(1), code: "unexpected", closes: 1008 },
  { name: "a message of 64 KiB and a byte", says: () => " ".repeat(65_537), code: "too_large", closes: 1009 },
  { name: "a message of a megabyte", says: () => " ".repeat(1024 * 1024), code: "too_large", closes: 1009 },
];

for (const { name, says, code, closes } of attacks) {
  Deno.test(`told ${code}: ${name}`, async () => {
    await using at = await AttackedSupernode.start();
    const { stream, peerId } = await at.join();
    stream.say(says(at));
    const told = await stream.next();
    assertEquals(told?.type === "error" && told.code, code);
    assertStringIncludes(await at.metrics.text(), `control_messages_rejected_total{reason="${code}"} 1`);
    if (closes !== undefined) return assertEquals(await stream.closed, closes);
    stream.say({ type: "ping", sequence: 7 });
    assertEquals((await stream.next())?.type, "pong");
    assertEquals(at.supernode.streams.get(peerId)?.machine.state, "open");
  });
}

const floods: readonly { readonly name: string; readonly message: () => ControlMessage | string }[] = [
  { name: "pings", message: () => ({ type: "ping", sequence: 1 }) },
  { name: "what is no JSON", message: () => "no" },
  { name: "answers to commands that there are not", message: answerToNothing },
  { name: "questions", message: () => ({ type: "info.request", requestId: newId(), what: "sessions" }) },
];

function answerToNothing(): CommandResult {
  return { type: "command.result", commandId: newId(), status: "applied" };
}

for (const { name, message } of floods) {
  Deno.test(`a flood of ${name} ends its stream, and no other`, async () => {
    await using at = await AttackedSupernode.start();
    const { stream } = await at.join();
    const { stream: other } = await at.join();
    for (let count = 0; count < 60; count++) stream.say(message());
    assertEquals(await stream.closed, 1008);
    assertStringIncludes(await at.metrics.text(), 'control_messages_rejected_total{reason="too_fast"} 1');
    other.say({ type: "ping", sequence: 1 });
    assertEquals((await other.next())?.type, "pong");
  });
}

Deno.test("a stream that is silent for half a minute is told and dropped", async () => {
  await using at = await AttackedSupernode.start();
  const { stream } = await at.join();
  await at.pass(31_000);
  const told = await stream.next();
  assertEquals([told?.type === "error" && told.code, await stream.closed], ["timeout", 1008]);
  assertStringIncludes(await at.metrics.text(), 'control_messages_rejected_total{reason="timeout"} 1');
});

Deno.test("a session of another is neither shown nor ended", async () => {
  await using at = await AttackedSupernode.start();
  const { stream } = await at.join(newIdentity(), { role: "client" });
  stream.say({ type: "info.request", requestId: newId(), what: "end_session", sessionId: newId() });
  const answer = await stream.next();
  assertEquals(answer?.type === "info.response" && answer.what === "failed" && answer.reason, "unknown_session");
});

Deno.test("an exit that asks for an exit is refused", async () => {
  await using at = await AttackedSupernode.start();
  const { stream } = await at.join();
  stream.say({ type: "info.request", requestId: newId(), what: "exit", wish: {} });
  const answer = await stream.next();
  assertEquals(answer?.type === "info.response" && answer.what === "failed" && answer.reason, "forbidden");
});
