/**
 * The page of `hello.culvert`, as text that fits a terminal of 80 columns and as HTML that needs nothing else.
 */

import type { Hop } from "../protocol/stream.ts";

/** Which way a request came, and when it arrived. */
export interface Travel {
  readonly hops: readonly Hop[];
  readonly atMs: number;
}

const TITLE = "Hello from the far end of the culvert.";
/** A trail is as long as whoever sends it says. */
const MAX_HOPS = 32;
const MAX_NAME_WIDTH = 16;
const MAX_AT_WIDTH = 36;
/** Beyond a minute it is not a round trip. */
const MAX_RTT_MS = 60_000;

/** For curl. */
export function textPage(travel: Travel): string {
  const rows = rowsOf(travel);
  const nameWidth = Math.max(...rows.map((row) => row.name.length));
  const atWidth = Math.max(...rows.filter((row) => row.rtt !== "").map((row) => row.at.length), 0);
  const lines = rows.map(({ number, name, at, rtt }) =>
    `${number.padStart(4)}  ${name.padEnd(nameWidth)}  ${at.padEnd(atWidth)}  ${rtt}`.trimEnd()
  );
  return [TITLE, "", ...lines, "", ...summaryOf(travel), ""].join("\n");
}

/** For a browser. */
export function htmlPage(travel: Travel): string {
  const rows = rowsOf(travel).map(({ name, at, rtt }) =>
    `      <tr><th scope="row">${escape(name)}</th><td><code>${escape(at)}</code></td><td>${escape(rtt)}</td></tr>`
  );
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>hello.culvert</title>
    <style>
      :root { color-scheme: light dark }
      body { font: 1rem/1.6 system-ui, sans-serif; max-width: 44rem; margin: 4rem auto; padding: 0 1rem }
      table { border-collapse: collapse; width: 100%; counter-reset: hop }
      th, td { text-align: left; padding: .4rem .8rem .4rem 0; border-bottom: 1px solid #8884; overflow-wrap: anywhere }
      tr { counter-increment: hop }
      th::before { content: counter(hop) ". "; opacity: .6 }
    </style>
  </head>
  <body>
    <h1>${TITLE}</h1>
    <table>
${rows.join("\n")}
    </table>
${summaryOf(travel).map((line) => `    <p>${escape(line)}</p>`).join("\n")}
  </body>
</html>
`;
}

/** For programs. */
export function jsonPage({ hops, atMs }: Travel): string {
  const known = hops.slice(-MAX_HOPS).map(({ rttMs, ...hop }) => ({ ...hop, ...(isMeasured(rttMs) && { rttMs }) }));
  // A terminal is to obey nothing in here either.
  const text = JSON.stringify({ hops: known, atMs }).replace(/[^\x20-\x7e]/g, escapeUnit);
  return `${text}\n`;
}

function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

interface Row {
  readonly number: string;
  readonly name: string;
  readonly at: string;
  readonly rtt: string;
}

function rowsOf({ hops }: Travel): readonly Row[] {
  return hops.slice(-MAX_HOPS).map((hop, index) => ({
    number: String(index + 1),
    name: plain(hop.name, MAX_NAME_WIDTH),
    at: plain(hop.at, MAX_AT_WIDTH),
    rtt: !isMeasured(hop.rttMs) ? "" : `${milliseconds(hop.rttMs)} to next`,
  }));
}

function summaryOf({ hops, atMs }: Travel): readonly string[] {
  const measured = hops.slice(-MAX_HOPS).map((hop) => hop.rttMs).filter(isMeasured);
  const totalMs = measured.reduce((sum, rttMs) => sum + rttMs, 0);
  const arrived = `It arrived at ${new Date(atMs).toISOString()}.`;
  return measured.length === 0
    ? [arrived]
    : [`The measured way takes ${milliseconds(totalMs)} there and back.`, arrived];
}

/** Another machine may claim any number. */
function isMeasured(rttMs: number | undefined): rttMs is number {
  return rttMs !== undefined && rttMs >= 0 && rttMs <= MAX_RTT_MS;
}

function milliseconds(ms: number): string {
  return `${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms`;
}

/** One line of printable ASCII: what is shown came from other machines, and a terminal obeys control characters. */
function plain(text: string, maxLength: number): string {
  const printable = text.replace(/[^\x20-\x7e]/g, "?");
  return printable.length <= maxLength ? printable : `${printable.slice(0, maxLength - 3)}...`;
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
