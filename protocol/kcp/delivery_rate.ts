/**
 * How fast a route delivers, measured as in draft-ietf-ccwg-bbr §4.1: between two ACKs lies as much as was delivered between
 * them, and the route was no faster than the longer of the time it took to send that and the time it took to be acknowledged.
 *
 * Not every segment is noted but every moment of sending: a ring of them, which is all that it takes to know what had been
 * delivered when a segment went out. Moments that lie close together, for the round trip, are one; so the ring covers some
 * round trips however long they are, and costs 8 KiB however large the window, and a sixteenth of that for who says little.
 */

const FIRST_MOMENTS = 16;
const MOST_MOMENTS = 256;
const MOMENTS_PER_ROUND = 64;
/** Shorter intervals measure how ACKs come in bunches, not the route. */
const LEAST_INTERVAL_MS = 4;

export class DeliveryRate {
  /** Of the last sample, bytes per millisecond. */
  rate = 0;
  /** The sample may say what there was to send, not what the route can do. */
  isAppLimited = false;
  /** What had been delivered when the newest segment that has come was sent: a round is over when it passes a mark. */
  deliveredThen = 0;
  /** All bytes that have come. */
  deliveredBytes = 0;
  #sentAtMs = new Float64Array(FIRST_MOMENTS);
  #firstSentAtMs = new Float64Array(FIRST_MOMENTS);
  #delivered = new Float64Array(FIRST_MOMENTS);
  #deliveredAtMs = new Float64Array(FIRST_MOMENTS);
  #wasAppLimited = new Uint8Array(FIRST_MOMENTS);
  #mask = FIRST_MOMENTS - 1;
  /** The ring did not go back far enough to measure by. */
  #isShort = false;
  /** Moments are numbered; their slots are the numbers, round and round. */
  #next = 0;
  /** The moment at which the newest segment that has come was sent. */
  #newest = 0;
  #lastDeliveredAtMs = 0;
  #firstSent = 0;
  #appLimitedUntilBytes = 0;

  /** Something goes out at a moment. `rttMs` is about how long an answer takes. */
  onSent(inFlightBytes: number, rttMs: number, nowMs: number): void {
    if (inFlightBytes <= 0) this.#firstSent = this.#lastDeliveredAtMs = nowMs; // the time before it was idle
    const last = (this.#next - 1) & this.#mask;
    if (
      this.#next > 0 && inFlightBytes > 0 &&
      nowMs - this.#sentAtMs[last]! < Math.max(LEAST_INTERVAL_MS, rttMs) / MOMENTS_PER_ROUND
    ) return;
    if (this.#isShort || this.#next - this.#newest > this.#mask) this.#grow();
    const slot = this.#next++ & this.#mask;
    this.#sentAtMs[slot] = nowMs;
    this.#firstSentAtMs[slot] = this.#firstSent;
    this.#delivered[slot] = this.deliveredBytes;
    this.#deliveredAtMs[slot] = this.#lastDeliveredAtMs;
    this.#wasAppLimited[slot] = this.deliveredBytes < this.#appLimitedUntilBytes ? 1 : 0;
  }

  /** There is nothing more to send: what is in flight says less than it could. */
  onNothingToSend(inFlightBytes: number): void {
    this.#appLimitedUntilBytes = this.deliveredBytes + Math.max(1, inFlightBytes);
  }

  /**
   * Takes a sample: `bytes` have come since the last one, of which the newest were sent at `sentAtMs`. False: there is
   * nothing to measure by.
   */
  sample(bytes: number, sentAtMs: number, minRttMs: number, nowMs: number): boolean {
    if (this.#next === 0) return false;
    this.deliveredBytes += bytes;
    this.#lastDeliveredAtMs = nowMs;
    let moment = this.#momentAt(sentAtMs);
    const newest = moment & this.#mask;
    this.#firstSent = Math.max(this.#firstSent, this.#sentAtMs[newest]!);
    this.deliveredThen = this.#delivered[newest]!;
    const leastMs = Math.max(LEAST_INTERVAL_MS, Math.min(minRttMs, 1000));
    const oldest = Math.max(0, this.#next - this.#mask - 1);
    while (moment > oldest && nowMs - this.#deliveredAtMs[moment & this.#mask]! < leastMs) moment--;
    const slot = moment & this.#mask;
    const ackedMs = nowMs - this.#deliveredAtMs[slot]!;
    if (ackedMs < leastMs) {
      this.#isShort = oldest > 0; // moments as close together as these must be more
      return false;
    }
    const sentMs = this.#sentAtMs[newest]! - this.#firstSentAtMs[slot]!;
    this.rate = (this.deliveredBytes - this.#delivered[slot]!) / Math.max(ackedMs, sentMs);
    this.isAppLimited = this.#wasAppLimited[slot] === 1 || this.#wasAppLimited[newest] === 1;
    return true;
  }

  /** The last moment that is not after that time; it only moves on. */
  #momentAt(sentAtMs: number): number {
    this.#newest = Math.max(this.#newest, this.#next - this.#mask - 1);
    while (this.#newest + 1 < this.#next && this.#sentAtMs[(this.#newest + 1) & this.#mask]! <= sentAtMs) {
      this.#newest++;
    }
    return this.#newest;
  }

  /** The moments that are kept lie elsewhere in a ring of twice the size. */
  #grow(): void {
    this.#isShort = false;
    if (this.#mask === MOST_MOMENTS - 1) return;
    const mask = 2 * this.#mask + 1;
    const moved = (from: Float64Array<ArrayBuffer>) => {
      const into = new Float64Array(mask + 1);
      for (let at = Math.max(0, this.#next - this.#mask - 1); at < this.#next; at++) {
        into[at & mask] = from[at & this.#mask]!;
      }
      return into;
    };
    this.#sentAtMs = moved(this.#sentAtMs);
    this.#firstSentAtMs = moved(this.#firstSentAtMs);
    this.#delivered = moved(this.#delivered);
    this.#deliveredAtMs = moved(this.#deliveredAtMs);
    this.#wasAppLimited = Uint8Array.from(moved(Float64Array.from(this.#wasAppLimited)));
    this.#mask = mask;
  }
}
