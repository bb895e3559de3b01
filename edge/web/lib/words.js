/**
 * Numbers, times and states in words a person reads: bytes, durations, how long ago, standings.
 */

const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/**
 * Bytes in the unit that leaves one to four digits before the point.
 * @param {number | bigint} count
 */
export function bytes(count) {
  let size = Number(count);
  let unit = 0;
  while (size >= 1000 && unit < BYTE_UNITS.length - 1) {
    size /= 1024;
    unit++;
  }
  const digits = unit === 0 || size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return `${size.toFixed(digits)} ${BYTE_UNITS[unit]}`;
}

/**
 * @param {number} bytesPerSecond
 */
export function rate(bytesPerSecond) {
  const megabits = bytesPerSecond * 8 / 1e6;
  return megabits >= 1
    ? `${megabits.toFixed(megabits >= 10 ? 0 : 1)} Mbit/s`
    : `${(megabits * 1000).toFixed(0)} kbit/s`;
}

/**
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 */
export function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

const steps = /** @type {const} */ ([
  [31_536_000, "year"],
  [2_592_000, "month"],
  [86_400, "day"],
  [3_600, "hour"],
  [60, "minute"],
]);

/**
 * How long ago, or in how long.
 * @param {number} atMs
 * @param {number} nowMs
 */
export function ago(atMs, nowMs = Date.now()) {
  const seconds = Math.round((atMs - nowMs) / 1000);
  const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  for (const [length, unit] of steps) {
    // Of what is to come what was just set to a week is seven days, not six.
    const count = seconds < 0 ? Math.trunc(seconds / length) : Math.round(seconds / length);
    if (Math.abs(seconds) >= length) return words.format(count, unit);
  }
  return Math.abs(seconds) < 10 ? "just now" : words.format(seconds, "second");
}

/**
 * A time in full, in the reader's own zone.
 * @param {number} atMs
 */
export function moment(atMs) {
  return new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" }).format(atMs);
}

/** @param {number} atMs */
export function day(atMs) {
  return new Intl.DateTimeFormat("en-GB", { dateStyle: "medium" }).format(atMs);
}

/** @param {number} durationMs */
export function duration(durationMs) {
  const seconds = Math.max(0, Math.round(durationMs / 1000));
  for (const [length, unit] of steps) {
    if (seconds >= 2 * length || (seconds >= length && unit === "minute")) {
      return plural(Math.floor(seconds / length), unit);
    }
  }
  return plural(seconds, "second");
}

/**
 * A country by its name, with its code where it is not known.
 * @param {string | undefined} code
 */
export function country(code) {
  if (!code) return "unknown country";
  try {
    return new Intl.DisplayNames("en", { type: "region" }).of(code.toUpperCase()) ?? code.toUpperCase();
  } catch {
    return code.toUpperCase();
  }
}

/**
 * A name such as "frankfurt-am-main" as one writes it.
 * @param {string} name
 */
export function properName(name) {
  return name.replace(/(^|-)(\p{L})/gu, (_, before, letter) => (before && " ") + letter.toUpperCase());
}

/**
 * Where a node is, the nearest first.
 * @param {{ city?: string | undefined, country?: string | undefined }} place
 */
export function placeName({ city, country: code }) {
  return [city && properName(city), country(code)].filter(Boolean).join(", ");
}

/**
 * The start of a long id, for where it only has to be told from its neighbours.
 * @param {string} id
 */
export function short(id) {
  return id.length > 14 ? `${id.slice(0, 10)}…` : id;
}

/** @typedef {"good" | "warn" | "bad" | "info" | "quiet"} Tone */

/**
 * What a node's standing is called, and what it means for its owner.
 * @type {Record<string, { label: string, tone: Tone, meaning: string }>}
 */
export const standings = {
  probation: {
    label: "Probation",
    tone: "info",
    meaning:
      "New nodes are on probation: they get a small share of the traffic while we measure that they are steady. " +
      "It ends by itself once enough probes went well.",
  },
  good: { label: "Good", tone: "good", meaning: "It gets its full share of the traffic." },
  flagged: {
    label: "Flagged",
    tone: "warn",
    meaning: "Something looks wrong. It still gets traffic, but less, until the reason below is gone.",
  },
  quarantined: {
    label: "Quarantined",
    tone: "bad",
    meaning: "It gets no traffic for now. What it has earned stays yours. You can appeal.",
  },
  banned: {
    label: "Banned",
    tone: "bad",
    meaning: "It may not share through this orchestrator. What it has earned stays yours. You can appeal.",
  },
};

/** @param {string} standing */
export function standingOf(standing) {
  return standings[standing] ?? { label: standing, tone: /** @type {Tone} */ ("quiet"), meaning: "" };
}
