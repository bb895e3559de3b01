/**
 * KCP's own congestion control (`nc` 0), as kcp-go has it: slow start to a threshold, then about one segment a round trip,
 * half of what is in flight after a fast resend, and from one again after a timeout. It collapses under loss; it is here
 * for those who ask for it by name. Counted in segments, but for `#bytes`, by which the window creeps up.
 */

const LEAST_THRESHOLD = 2;

export class KcpWindow {
  /** How many segments may be in flight. */
  segments = 1;
  readonly #segmentBytes: number;
  #threshold = LEAST_THRESHOLD;
  #bytes: number;

  constructor(segmentBytes: number) {
    this.#segmentBytes = this.#bytes = segmentBytes;
  }

  /** A datagram has moved `una`. */
  grow(peerWindow: number): void {
    if (this.segments >= peerWindow) return;
    const size = this.#segmentBytes;
    if (this.segments < this.#threshold) {
      this.segments++;
      this.#bytes += size;
    } else {
      this.#bytes = Math.max(this.#bytes, size);
      this.#bytes += Math.floor(size * size / this.#bytes) + Math.floor(size / 16);
      if ((this.segments + 1) * size <= this.#bytes) this.segments = Math.floor((this.#bytes + size - 1) / size);
    }
    if (this.segments <= peerWindow) return;
    this.segments = peerWindow;
    this.#bytes = peerWindow * size;
  }

  /** Some were sent again because `fastResend` later ones had come, with so many in flight. */
  resent(inFlight: number, fastResend: number): void {
    this.#threshold = Math.max(inFlight >> 1, LEAST_THRESHOLD);
    // What stands for "never" there is -1 as a number without sign; the sum wraps, as it does there.
    this.segments = this.#threshold + (fastResend > 0 ? fastResend : -1);
    this.#bytes = this.segments * this.#segmentBytes;
  }

  /** Some have timed out, when so many could be in flight. */
  timedOut(window: number): void {
    this.#threshold = Math.max(window >> 1, LEAST_THRESHOLD);
    this.segments = 1;
    this.#bytes = this.#segmentBytes;
  }
}
