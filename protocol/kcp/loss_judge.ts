/**
 * What loss says to a sender that paces: little by itself, since radio loses without being full. It tells what is usual on
 * a route, and yields to what is clearly more; what is lost when the sender has given way as well is none of its doing, and
 * becomes usual.
 */

/** So much more than usual is a queue that overflows. */
const HEAVY_LOSS = 0.08;
const LEAST_SHARE = 0.8;
/** Of fewer, as many as that are lost by chance when the loss is light. */
const LEAST_COUNTED_SEGMENTS = 128;

export class LossJudge {
  /** Of the rate, what should be used. */
  share = 1;
  readonly #leastBytes: number;
  #lostBytes = 0;
  #bytes = 0;
  #usual = 0;

  constructor(segmentBytes: number) {
    this.#leastBytes = LEAST_COUNTED_SEGMENTS * segmentBytes;
  }

  onLost(bytes: number): void {
    this.#lostBytes += bytes;
  }

  onCame(bytes: number): void {
    this.#bytes += bytes;
  }

  /** A share that was lost since the last time; undefined while too little was sent to tell. */
  take(): number | undefined {
    const all = this.#bytes + this.#lostBytes;
    if (all < this.#leastBytes) return undefined;
    const loss = this.#lostBytes / all;
    this.#bytes = this.#lostBytes = 0;
    return loss;
  }

  judge(loss: number): void {
    if (loss > this.#usual + HEAVY_LOSS) {
      if (this.share <= LEAST_SHARE) this.#usual += (loss - this.#usual) / 4;
      this.share = Math.max(LEAST_SHARE, this.share * 0.9);
    } else {
      if (loss < this.#usual || loss < HEAVY_LOSS) this.#usual += (loss - this.#usual) / 8;
      this.share = Math.min(1, this.share + 0.05);
    }
  }

  /** What is usual stays so. */
  forget(): void {
    this.share = 1;
    this.#bytes = this.#lostBytes = 0;
  }
}
