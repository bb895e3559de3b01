/**
 * For the tests of the mux: two pure sessions joined back to back, and a simple program at each channel.
 *
 *   client.pull → wire (delay) → server.receive        server.pull → wire (delay) → client.receive
 *
 * With a Random, the sizes of pulls and deliveries and their order are left to it; without, everything moves at once.
 * Time is explicit: `settle` runs until nothing more can happen now, `advance` moves the clock and settles.
 */

import { MuxSession } from "./mux.ts";
import type { MuxOptions } from "./mux.ts";
import type { MuxChannel } from "./mux_channel.ts";
import { type Random, randomInt } from "./random.ts";

export interface PairOptions {
  readonly both?: Omit<MuxOptions, "role">;
  readonly client?: Omit<MuxOptions, "role">;
  readonly server?: Omit<MuxOptions, "role">;
  /** One way. */
  readonly latencyMs?: number;
  readonly random?: Random;
}

/** One session, the programs at its channels and the bytes on their way to it. */
export class Side {
  readonly session: MuxSession;
  readonly programs: Program[] = [];
  readonly arriving: { dueMs: number; bytes: Uint8Array }[] = [];
  /** Everything it has sent. Kept only when asked for. */
  sent: Uint8Array[] | undefined;
  sentBytes = 0;
  /** What to do with a stream that the other side opens. */
  onProgram: (program: Program) => void = () => {};

  constructor(options: MuxOptions, nowMs: () => number) {
    this.session = new MuxSession(options, {
      onOpen: (channel) => this.onProgram(this.#adopt(channel, nowMs)),
      onWantsWrite: () => {},
    }, nowMs());
    this.nowMs = nowMs;
  }

  readonly nowMs: () => number;

  open(): Program {
    const channel = this.session.open();
    if (!channel) throw new Error("no stream could be opened");
    return this.#adopt(channel, this.nowMs);
  }

  #adopt(channel: MuxChannel, nowMs: () => number): Program {
    const program = new Program(channel, nowMs);
    this.programs.push(program);
    return program;
  }
}

/** What a program does with a channel: it reads all, unless told not to, and writes one chunk after another. */
export class Program {
  readonly channel: MuxChannel;
  readonly #nowMs: () => number;
  readonly #chunks: Uint8Array[] = [];
  readonly #got: Uint8Array[] = [];
  readonly #buffer = new Uint8Array(64 * 1024);
  gotBytes = 0;
  keep = true;
  /** Chunks taken and refused by the mux. */
  taken = 0;
  refused = 0;
  ended = false;
  unheard = 0;
  /** Gives the next chunk whenever one has been taken; endless data. */
  source: (() => Uint8Array | undefined) | undefined;
  #reading = true;

  constructor(channel: MuxChannel, nowMs: () => number) {
    this.channel = channel;
    this.#nowMs = nowMs;
    channel.onReadable = () => this.#read();
    channel.onWritten = (taken) => {
      if (taken) this.taken++;
      else this.refused++;
      if (taken) this.#offerNext();
    };
    channel.onUnheard = () => this.unheard++;
  }

  get bytes(): Uint8Array {
    const whole = new Uint8Array(this.gotBytes);
    let at = 0;
    for (const piece of this.#got) {
      whole.set(piece, at);
      at += piece.length;
    }
    return whole;
  }

  write(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    if (!this.channel.offering) this.#offerNext();
  }

  /** Stops or goes on reading. */
  set reading(reading: boolean) {
    this.#reading = reading;
    if (reading) this.#read();
  }

  /** Reads up to so many bytes once. */
  readOnce(atMost: number): number {
    return this.#take(new Uint8Array(atMost));
  }

  #offerNext(): void {
    const chunk = this.#chunks.shift() ?? this.source?.();
    if (chunk && this.channel.writable) this.channel.offer(chunk);
  }

  #read(): void {
    while (this.#reading && this.channel.bufferedBytes > 0) this.#take(this.#buffer);
    this.ended = this.channel.atEndOfFile;
  }

  #take(into: Uint8Array): number {
    const count = this.channel.take(into, this.#nowMs());
    this.gotBytes += count;
    if (this.keep) this.#got.push(into.slice(0, count));
    return count;
  }
}

export class Pair {
  readonly client: Side;
  readonly server: Side;
  readonly #latencyMs: number;
  readonly #random: Random | undefined;
  readonly #buffer = new Uint8Array(256 * 1024);
  nowMs = 0;

  constructor(options: PairOptions = {}) {
    const nowMs = () => this.nowMs;
    this.client = new Side({ ...options.both, ...options.client, role: "client" }, nowMs);
    this.server = new Side({ ...options.both, ...options.server, role: "server" }, nowMs);
    this.#latencyMs = options.latencyMs ?? 0;
    this.#random = options.random;
  }

  /** Lets everything happen that can happen without time going on. */
  settle(): void {
    for (let moved = true; moved;) {
      moved = false;
      for (const [from, to] of this.#directions()) {
        if (this.pull(from, to, this.#size()) > 0) moved = true;
        if (this.deliver(to, this.#size())) moved = true;
      }
    }
  }

  /** Time goes on; a tick every 100 ms at least. */
  advance(ms: number, stepMs = 100): void {
    for (const untilMs = this.nowMs + ms; this.nowMs < untilMs;) {
      this.nowMs = Math.min(untilMs, this.nowMs + stepMs);
      this.client.session.tick(this.nowMs);
      this.server.session.tick(this.nowMs);
      this.settle();
    }
  }

  pull(from: Side, to: Side, atMost: number): number {
    const count = from.session.pull(this.#buffer.subarray(0, Math.max(64, atMost)), this.nowMs);
    if (count === 0) return 0;
    const bytes = this.#buffer.slice(0, count);
    from.sent?.push(bytes);
    from.sentBytes += count;
    to.arriving.push({ dueMs: this.nowMs + this.#latencyMs, bytes });
    return count;
  }

  /** Hands over bytes that are due; false when there are none, or they are not wanted. */
  deliver(to: Side, atMost: number): boolean {
    const first = to.arriving[0];
    if (!first || first.dueMs > this.nowMs || !to.session.wantsInput) return false;
    const bytes = first.bytes.slice(0, atMost);
    if (bytes.length === first.bytes.length) to.arriving.shift();
    else first.bytes = first.bytes.subarray(bytes.length);
    to.session.receive(bytes, this.nowMs);
    bytes.fill(0xee); // they must have been copied
    return true;
  }

  #directions(): [Side, Side][] {
    const both: [Side, Side][] = [[this.client, this.server], [this.server, this.client]];
    return this.#random && this.#random.next() < 0.5 ? both.reverse() : both;
  }

  #size(): number {
    const random = this.#random;
    if (!random) return this.#buffer.length;
    return random.next() < 0.3 ? 1 + randomInt(random, 100) : 1 + randomInt(random, 100_000);
  }
}

/** A frame header in a run of sent bytes. */
export interface SentFrame {
  readonly command: number;
  readonly streamId: number;
  readonly length: number;
}

/** The headers of the frames in a run of bytes. */
export function framesOf(sent: readonly Uint8Array[]): SentFrame[] {
  const frames: SentFrame[] = [];
  const whole = new Uint8Array(sent.reduce((sum, piece) => sum + piece.length, 0));
  let filled = 0;
  for (const piece of sent) {
    whole.set(piece, filled);
    filled += piece.length;
  }
  const view = new DataView(whole.buffer);
  for (let at = 0; at < whole.length; at += 8 + view.getUint16(at + 2, true)) {
    frames.push({
      command: whole[at + 1]!,
      length: view.getUint16(at + 2, true),
      streamId: view.getUint32(at + 4, true),
    });
  }
  return frames;
}
