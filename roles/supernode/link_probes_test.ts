import { assertEquals } from "@std/assert";
import { answerProbe } from "../../net/link_probe.ts";
import { MuxConnection, type MuxStream } from "../../net/mux.ts";
import { readRelayHeader } from "../../net/read_frame.ts";
import { StreamLink } from "../../net/stream_link.ts";
import { BufferPool } from "../../net/buffer_pool.ts";
import { memoryStreamPair } from "../../net/memory.ts";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { LinkProbes } from "./link_probes.ts";
import type { LinkHolder } from "./relay_tokens.ts";

const HOLDER: LinkHolder = { kind: "peer", id: "an exit" };

/** Two ends of a data link; the far one answers probes as it is told. */
class Rig implements AsyncDisposable {
  readonly clock = new FakeClock();
  mood: "well" | "mute" | "no way out" = "well";
  isUsed = true;
  asked = 0;
  readonly down: LinkHolder[] = [];
  readonly #near: MuxConnection;
  readonly #far: MuxConnection;
  readonly probes: LinkProbes;

  constructor() {
    const [near, far] = memoryStreamPair();
    const pool = new BufferPool();
    this.#near = new MuxConnection(new StreamLink(near, pool), this.clock, { role: "client", extensions: true });
    this.#far = new MuxConnection(new StreamLink(far, pool), this.clock, { role: "server", extensions: true });
    this.#far.onStream = (stream) => void this.#answer(stream);
    this.#near.start();
    this.#far.start();
    this.probes = new LinkProbes({
      clock: this.clock,
      random: new SeededRandom(1),
      log: silentLog,
      metrics: noMetrics,
      linkOf: () => this.#near,
      isUsed: () => this.isUsed,
      onDown: (holder) => this.down.push(holder),
    });
    this.probes.watch(HOLDER);
  }

  async #answer(stream: MuxStream): Promise<void> {
    await readRelayHeader(stream);
    this.asked++;
    if (this.mood !== "mute") await answerProbe(stream, this.mood === "well" ? undefined : this.mood);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.probes[Symbol.dispose]();
    this.#near.close();
    this.#far.close();
    await Promise.all([this.#near.ended, this.#far.ended]);
    assertEquals(this.clock.pendingTimers, 0);
  }
}

Deno.test("a link that answers is well, and its latency is known", async () => {
  await using rig = new Rig();
  await rig.clock.advanceAsync(10_000);
  assertEquals([rig.probes.healthOf(HOLDER), rig.probes.latencyMs(HOLDER)], [1, 0]);
});

Deno.test("a link that lives and answers nothing is down within eight seconds, once, and up again when it answers", async () => {
  await using rig = new Rig();
  await rig.clock.advanceAsync(5_000);
  rig.mood = "mute";
  await rig.clock.advanceAsync(8_000);
  assertEquals([rig.down, rig.probes.healthOf(HOLDER)], [[HOLDER], 0]);
  await rig.clock.advanceAsync(20_000);
  assertEquals(rig.down.length, 1);
  rig.mood = "well";
  await rig.clock.advanceAsync(15_000);
  assertEquals(rig.probes.healthOf(HOLDER) > 0.3, true);
});

Deno.test("an exit whose way out does not work is down, however well its link is", async () => {
  await using rig = new Rig();
  rig.mood = "no way out";
  await rig.clock.advanceAsync(5_000);
  assertEquals([rig.down, rig.probes.healthOf(HOLDER)], [[HOLDER], 0]);
});

Deno.test("a link that nobody uses is asked less often", async () => {
  await using rig = new Rig();
  await rig.clock.advanceAsync(60_000);
  const used = rig.asked;
  rig.isUsed = false;
  await rig.clock.advanceAsync(60_000);
  assertEquals([used > 20, rig.asked - used <= 7], [true, true]);
});
