/**
 * Until when something lasts, by our own clock. A supernode says it by its own, which may be hours from ours: what is
 * `expiresAtMs` anywhere in its message is moved by the difference, as far as that is known.
 *
 * Not here: a command's deadline, which is compared with the supernode's time itself.
 */

/** The same message, but for the clock; `aheadMs` is the supernode's clock less ours. */
export function inOurTime<T>(message: T, aheadMs: number): T {
  if (aheadMs === 0 || typeof message !== "object" || message === null) return message;
  if (Array.isArray(message)) return message.map((item) => inOurTime(item, aheadMs)) as T;
  const moved = Object.entries(message).map(([name, value]) => [
    name,
    name === "expiresAtMs" ? Math.max(0, Math.round(value - aheadMs)) : inOurTime(value, aheadMs),
  ]);
  return Object.fromEntries(moved) as T;
}
