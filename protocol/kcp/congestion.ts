/**
 * How much may be in flight, and how fast it goes: what a `Kcp` asks when it is not to send all its window at once. KCP has
 * a scheme of its own (`nc = 0`), which collapses under loss, and usually none at all; `paced.ts` is ours.
 *
 * A segment is known by its slot, a small number that is not used for another before `onAcked`; a scheme may keep what it
 * wants to know of a segment in arrays by slot.
 */

export interface Congestion {
  /** How many bytes more may be sent now, `inFlightBytes` being out; 0 or less: none. */
  roomBytes(inFlightBytes: number, nowMs: number): number;
  /** When there will be room again, if it is time alone that it lacks; Infinity when it takes an ACK. */
  readonly roomAtMs: number;
  /** A segment goes out, for the first time or again. `inFlightBytes` is what was out before. */
  onSent(slot: number, bytes: number, inFlightBytes: number, nowMs: number): void;
  /** It has come. `rttMs` is since the sending that the ACK answers; Infinity when nobody can tell. */
  onAcked(slot: number, bytes: number, rttMs: number, nowMs: number): void;
  /** It is taken for lost, by later ones that came before it. It will be sent again. */
  onLost(slot: number, bytes: number, nowMs: number): void;
  /** Nothing has been heard for so long that something was sent again. */
  onTimeout(nowMs: number): void;
  /** The ACKs of one datagram have all been told; `isAppLimited`: there is nothing more to send at the moment. */
  onTurn(inFlightBytes: number, isAppLimited: boolean, nowMs: number): void;
  /** A segment in flight is known by another slot from now on. Without this no slot ever changes, at the price of memory. */
  onMoved?(from: number, to: number): void;
}
