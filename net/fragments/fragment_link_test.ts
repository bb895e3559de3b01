import { assert, assertEquals } from "@std/assert";
import { FakeClock } from "../../testing/fake_clock.ts";
import type { LinkHandlers } from "../link.ts";
import { FragmentLink, type FragmentMachine, type FragmentMachineEvents, type SendLeg } from "./fragment_link.ts";

const turn = () => new Promise<void>((resolve) => queueMicrotask(resolve));

/** Sends what it is filled with, one fragment per pull, by whatever leg asks first. */
class EchoingMachine implements FragmentMachine {
  readonly failed: number[] = [];
  readonly received: { leg: number; text: string }[] = [];
  nextTickMs = Infinity;
  ticks = 0;
  isIdle = true;
  #goodbye = false;
  readonly #events: FragmentMachineEvents;
  readonly legs: readonly number[];

  constructor(events: FragmentMachineEvents, legs: readonly number[]) {
    this.#events = events;
    this.legs = legs;
  }

  wake(): void {
    for (const leg of this.legs) this.#events.onWants(leg);
  }

  receive(leg: number, fragment: Uint8Array): void {
    const text = new TextDecoder().decode(fragment);
    this.received.push({ leg, text });
    if (text === "end") this.#events.onEnd("the peer said so");
    else this.#events.onBytes(fragment);
  }

  pull(_leg: number, into: Uint8Array): number {
    const count = this.#goodbye ? into.subarray(2).length && this.#say(into) : this.#events.fill(into.subarray(2, 6));
    if (count === 0) return 0;
    into[0] = 0;
    into[1] = count;
    return count + 2;
  }

  #say(into: Uint8Array): number {
    this.#goodbye = false;
    return new TextEncoder().encodeInto("bye", into.subarray(2)).written;
  }

  tick(): void {
    this.ticks++;
    this.nextTickMs = Infinity;
  }

  failLeg(leg: number): void {
    this.failed.push(leg);
  }

  close(): void {
    this.#goodbye = true;
  }

  [Symbol.dispose](): void {}
}

class ListeningLeg implements SendLeg {
  isWritable = true;
  onWritable = () => {};
  readonly sent: string[] = [];

  send(batch: Uint8Array): void {
    this.sent.push(new TextDecoder().decode(batch.slice(2)));
  }
}

interface Rig {
  readonly clock: FakeClock;
  readonly link: FragmentLink<EchoingMachine>;
  readonly handlers: LinkHandlers;
  /** What the mux has to send, and what came for it. */
  readonly toSend: string[];
  readonly came: string[];
  readonly closed: unknown[];
}

function rig(): Rig {
  const clock = new FakeClock();
  const toSend: string[] = [];
  const came: string[] = [];
  const closed: unknown[] = [];
  const link = new FragmentLink({
    clock,
    batch: new Uint8Array(64),
    session: (events) => new EchoingMachine(events, [0, 1]),
  });
  const handlers: LinkHandlers = {
    fill: (into) => new TextEncoder().encodeInto(toSend.shift() ?? "", into).written,
    onBytes: (bytes) => came.push(new TextDecoder().decode(bytes)),
    wantsBytes: () => true,
    onClose: (error) => closed.push(error),
  };
  return { clock, link, handlers, toSend, came, closed };
}

function batchOf(...texts: string[]): Uint8Array {
  return new Uint8Array(texts.flatMap((text) => [0, text.length, ...new TextEncoder().encode(text)]));
}

Deno.test("legs take turns, a batch each, in the same turn", async () => {
  const { link, handlers, toSend } = rig();
  const legs = [new ListeningLeg(), new ListeningLeg()] as const;
  link.setSendLeg(0, legs[0]);
  link.setSendLeg(1, legs[1]);
  link.start(handlers);
  toSend.push("a", "b", "c");
  link.wake();
  assertEquals(legs[0].sent, []);
  await turn();
  assertEquals(legs.map((leg) => leg.sent), [["a", "c"], ["b"]]);
  link.close();
});

Deno.test("a leg that has enough queued is passed over until it is writable", async () => {
  const { link, handlers, toSend } = rig();
  const leg = new ListeningLeg();
  leg.isWritable = false;
  link.setSendLeg(0, leg);
  link.start(handlers);
  toSend.push("a");
  link.wake();
  await turn();
  assertEquals(leg.sent, []);
  leg.isWritable = true;
  leg.onWritable();
  await turn();
  assertEquals(leg.sent, ["a"]);
  link.close();
});

Deno.test("a batch is cut into fragments, and one cut wrongly is told", () => {
  const { link, handlers, came } = rig();
  link.start(handlers);
  assert(link.receive(1, batchOf("one", "two")));
  assertEquals(came, ["one", "two"]);
  assert(!link.receive(1, batchOf("three").subarray(0, 4)));
  assert(!link.receive(1, Uint8Array.of(0)));
  assertEquals(link.session.received.map(({ leg }) => leg), [1, 1]);
  link.close();
});

Deno.test("what comes before the start is kept until then", () => {
  const { link, handlers, came } = rig();
  link.receive(0, batchOf("early"));
  assertEquals(came, []);
  link.start(handlers);
  assertEquals(came, ["early"]);
  link.close();
});

Deno.test("the session is ticked when it asked for it, and one timer does for all", async () => {
  const { link, handlers, clock } = rig();
  link.start(handlers);
  link.session.nextTickMs = 100;
  link.wake();
  await turn();
  link.session.nextTickMs = 50;
  link.wake();
  await turn();
  assertEquals(clock.pendingTimers, 1);
  clock.advance(49);
  assertEquals(link.session.ticks, 0);
  clock.advance(1);
  assertEquals([link.session.ticks, clock.pendingTimers], [1, 0]);
  link.close();
});

Deno.test("a session that ends says why, once, and leaves no timer", async () => {
  const { link, handlers, clock, closed } = rig();
  link.start(handlers);
  link.session.nextTickMs = 100;
  link.wake();
  await turn();
  link.receive(0, batchOf("end", "more"));
  link.close();
  await turn();
  await turn();
  assertEquals(closed.map(String), ["CulvertError: The fragments' session has ended: the peer said so"]);
  assertEquals([link.session.received.length, clock.pendingTimers], [1, 0]);
});

Deno.test("closing says goodbye first, and then nothing more goes or comes", async () => {
  const { link, handlers, closed, toSend, came } = rig();
  const leg = new ListeningLeg();
  link.setSendLeg(0, leg);
  link.start(handlers);
  await turn();
  toSend.push("too late");
  link.close();
  link.receive(0, batchOf("late"));
  await turn();
  await turn();
  assertEquals([leg.sent, came, closed], [["bye"], [], [undefined]]);
});

Deno.test("a leg whose socket is gone is told to the session", () => {
  const { link, handlers } = rig();
  link.setSendLeg(1, new ListeningLeg());
  link.start(handlers);
  link.failSendLeg(1);
  assertEquals(link.session.failed, [1]);
  link.close();
});
