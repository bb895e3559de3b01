/**
 * Which hellos were seen, so that one counts once: every hello is remembered until its time alone rules it out, and the
 * last few of each client for longer, so that one whose clock is slow can be told from a copy of what was sent then.
 *
 *   now − 60 s … now + 60 s      its time is right: taken, unless it was seen
 *   up to a day ahead            a clock is wrong: told, unless it was seen
 *   behind                       told, unless it was seen, or is no later than what was forgotten of its client
 *   before we began              never answered: nobody remembers whether it was seen
 *
 * Bounded: so many of each client, and so many of all strangers together; whoever sends more is not answered.
 */

/** How wrong a clock may be. */
export const CLOCK_TOLERANCE_MS = 60_000;
/** A clock further ahead than this is not told: it would have to be remembered for too long. */
const MOST_AHEAD_MS = 86_400_000;
/** What is on its way while a server begins; the clients know its clock to about this. */
const BEGINNING_MS = 2_000;
const SWEEP_MS = 10_000;
export const MOST_OF_A_CLIENT = 1024;
export const MOST_OF_STRANGERS = 4096;
/** Whose time is over, of each client. */
const MOST_PAST = 64;
/** Hellos with a true mac that count for nothing, so that the same one is not looked at twice. */
const MOST_SPOILED = 4096;

/** Whose hellos are counted together. */
export class HelloSender {
  readonly mostRemembered: number;
  remembered = 0;
  /** Those whose time is over, the first to be forgotten first. */
  readonly past: Past[] = [];
  /** Of all that were forgotten, the latest time. */
  forgottenMs = -Infinity;

  constructor(mostRemembered = MOST_OF_A_CLIENT) {
    this.mostRemembered = mostRemembered;
  }
}

interface Past {
  readonly id: string;
  readonly timeMs: number;
}

interface Memory {
  readonly timeMs: number;
  readonly sender: HelloSender;
}

/** right: go on; wrong: say that the clock is; old: it may have been seen; many: too many are remembered. */
export type HelloTiming = "right" | "wrong" | "old" | "many";

export class HelloMemory {
  readonly #seen = new Map<string, Memory>();
  readonly #past = new Set<string>();
  readonly #spoiled = new Set<string>();
  readonly #beganMs: number;
  #sweepAtMs = -Infinity;

  constructor(nowMs: number) {
    this.#beganMs = nowMs - BEGINNING_MS;
  }

  get size(): number {
    return this.#seen.size + this.#past.size + this.#spoiled.size;
  }

  wasSeen(id: string): boolean {
    return this.#seen.has(id) || this.#past.has(id) || this.#spoiled.has(id);
  }

  /** Judges a hello that has proven genuine, and remembers it. */
  take(
    id: string,
    sender: HelloSender,
    { timeMs, nowMs }: { readonly timeMs: number; readonly nowMs: number },
  ): HelloTiming {
    this.#sweep(nowMs);
    if (timeMs < this.#beganMs || timeMs > nowMs + MOST_AHEAD_MS) return "old";
    if (timeMs < nowMs - CLOCK_TOLERANCE_MS) {
      if (timeMs <= sender.forgottenMs) return "old";
      this.#pass({ id, timeMs }, sender);
      return "wrong";
    }
    if (sender.remembered >= sender.mostRemembered) return "many";
    sender.remembered++;
    this.#seen.set(id, { timeMs, sender });
    return timeMs > nowMs + CLOCK_TOLERANCE_MS ? "wrong" : "right";
  }

  /** It has a true mac, which others may have seen and copied, and is not genuine or not to be answered. */
  spoil(id: string): void {
    this.#spoiled.add(id);
    if (this.#spoiled.size > MOST_SPOILED) this.#spoiled.delete(this.#spoiled.values().next().value!);
  }

  #pass(hello: Past, sender: HelloSender): void {
    this.#past.add(hello.id);
    sender.past.push(hello);
    if (sender.past.length <= MOST_PAST) return;
    const { id, timeMs } = sender.past.shift()!;
    this.#past.delete(id);
    sender.forgottenMs = Math.max(sender.forgottenMs, timeMs);
  }

  #sweep(nowMs: number): void {
    if (nowMs < this.#sweepAtMs) return;
    this.#sweepAtMs = nowMs + SWEEP_MS;
    for (const [id, { timeMs, sender }] of this.#seen) {
      if (timeMs + CLOCK_TOLERANCE_MS >= nowMs) continue;
      this.#seen.delete(id);
      sender.remembered--;
      this.#pass({ id, timeMs }, sender);
    }
  }
}
