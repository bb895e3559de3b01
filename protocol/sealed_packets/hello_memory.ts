/**
 * Which hellos were seen, so that one counts once: every hello is remembered until its time alone rules it out.
 *
 *   now − 60 s … now + 60 s      its time is right: taken, unless it was seen
 *   up to a day ahead            a clock is wrong: told, unless it was seen
 *   behind                       told to a client that never sent a later one; else it may be an old one sent again
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
/** Hellos with a true mac that count for nothing, so that the same one is not looked at twice. */
const MOST_SPOILED = 4096;

/** Whose hellos are counted together. */
export class HelloSender {
  readonly mostRemembered: number;
  remembered = 0;
  /** The latest time that a hello of theirs has told. */
  newestMs = -Infinity;

  constructor(mostRemembered = MOST_OF_A_CLIENT) {
    this.mostRemembered = mostRemembered;
  }
}

interface Memory {
  readonly untilMs: number;
  readonly sender: HelloSender;
}

/** right: go on; wrong: say that the clock is; old: it may have been seen; many: too many are remembered. */
export type HelloTiming = "right" | "wrong" | "old" | "many";

export class HelloMemory {
  readonly #seen = new Map<string, Memory>();
  readonly #spoiled = new Set<string>();
  readonly #beganMs: number;
  #sweepAtMs = -Infinity;

  constructor(nowMs: number) {
    this.#beganMs = nowMs - BEGINNING_MS;
  }

  get size(): number {
    return this.#seen.size + this.#spoiled.size;
  }

  wasSeen(id: string): boolean {
    return this.#seen.has(id) || this.#spoiled.has(id);
  }

  /** Judges a hello that has proven genuine, and remembers it. */
  take(
    id: string,
    sender: HelloSender,
    { timeMs, nowMs }: { readonly timeMs: number; readonly nowMs: number },
  ): HelloTiming {
    this.#sweep(nowMs);
    if (timeMs < this.#beganMs || timeMs > nowMs + MOST_AHEAD_MS) return "old";
    const isBehind = timeMs < nowMs - CLOCK_TOLERANCE_MS;
    if (isBehind && timeMs <= sender.newestMs) return "old";
    if (!isBehind && !this.#remember(id, sender, timeMs + CLOCK_TOLERANCE_MS)) return "many";
    sender.newestMs = Math.max(sender.newestMs, timeMs);
    return isBehind || timeMs > nowMs + CLOCK_TOLERANCE_MS ? "wrong" : "right";
  }

  /** It has a true mac, which others may have seen and copied, and is not genuine or not to be answered. */
  spoil(id: string): void {
    this.#spoiled.add(id);
    if (this.#spoiled.size > MOST_SPOILED) this.#spoiled.delete(this.#spoiled.values().next().value!);
  }

  #remember(id: string, sender: HelloSender, untilMs: number): boolean {
    if (sender.remembered >= sender.mostRemembered) return false;
    sender.remembered++;
    this.#seen.set(id, { untilMs, sender });
    return true;
  }

  #sweep(nowMs: number): void {
    if (nowMs < this.#sweepAtMs) return;
    this.#sweepAtMs = nowMs + SWEEP_MS;
    for (const [id, { untilMs, sender }] of this.#seen) {
      if (untilMs >= nowMs) continue;
      this.#seen.delete(id);
      sender.remembered--;
    }
  }
}
