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
/** With the gaps between them they make 80 columns at most. */
const MAX_NAME_WIDTH = 16;
const MAX_AT_WIDTH = 36;
const MAX_REGION_WIDTH = 18;
const MAX_SEAL_WIDTH = 56;
/** Beyond a minute it is not a round trip. */
const MAX_RTT_MS = 60_000;

/** For curl. */
export function textPage(travel: Travel): string {
  const rows = rowsOf(travel);
  const nameWidth = Math.max(...rows.map((row) => row.name.length));
  const atWidth = Math.max(...rows.filter((row) => row.region !== "").map((row) => row.at.length), 0);
  const lines = rows.flatMap(({ number, name, at, region, leg }) => [
    `${number.padStart(4)}  ${name.padEnd(nameWidth)}  ${at.padEnd(atWidth)}  ${region}`.trimEnd(),
    ...(leg === "" ? [] : [`      |  ${leg}`]),
  ]);
  return [TITLE, "", ...lines, "", ...summaryOf(travel), ""].join("\n");
}

/** For a browser. */
export function htmlPage(travel: Travel): string {
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>hello.culvert</title>
    <style>${STYLE}</style>
  </head>
  <body>
    <h1>${TITLE}</h1>
    <ol>
${rowsOf(travel).map(htmlRow).join("\n")}
    </ol>
${summaryOf(travel).map((line) => `    <p>${escape(line)}</p>`).join("\n")}
  </body>
</html>
`;
}

/** A line down the left with a dot for each hop; what is between two hops stands beside the line. */
const STYLE = `
      :root { color-scheme: light dark; --quiet: light-dark(#566, #9aa); --line: light-dark(#9ab, #567) }
      body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem }
      h1 { font-size: 1.5rem; line-height: 1.25; margin-bottom: 2rem }
      ol { list-style: none; margin: 0 0 2rem; padding: 0 }
      li { position: relative; padding: 0 0 1.25rem 2rem; overflow-wrap: anywhere }
      li::before { content: ""; position: absolute; left: .2rem; top: .35em; width: .8em; height: .8em; border-radius: 50%;
        background: light-dark(#178, #5bc) }
      li:not(:last-child)::after { content: ""; position: absolute; left: .55rem; top: 1.4em; bottom: -.2em;
        border-left: 2px solid var(--line) }
      li:last-child { padding-bottom: 0 }
      .region { border: 1px solid var(--line); border-radius: 1em; padding: 0 .6em; font-size: .85rem; margin-left: .4em }
      code, .leg { display: block; color: var(--quiet) }
      .leg { margin-top: .5rem; font-size: .9rem }
      p { color: var(--quiet); margin: .25rem 0 }
    `;

function htmlRow({ name, at, region, leg }: Row): string {
  const place = region === "" ? "" : ` <span class="region">${escape(region)}</span>`;
  const onwards = leg === "" ? "" : ` <span class="leg">${escape(leg)}</span>`;
  return `      <li><strong>${escape(name)}</strong>${place} <code>${escape(at)}</code>${onwards}</li>`;
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
  readonly region: string;
  /** What is between this hop and the next, as far as it is known. */
  readonly leg: string;
}

function rowsOf({ hops }: Travel): readonly Row[] {
  return hops.slice(-MAX_HOPS).map(({ name, at, region = "", rttMs, seal = "" }, index) => ({
    number: String(index + 1),
    name: plain(name, MAX_NAME_WIDTH),
    at: plain(at, MAX_AT_WIDTH),
    region: plain(region, MAX_REGION_WIDTH),
    leg: [isMeasured(rttMs) ? milliseconds(rttMs) : "", plain(seal, MAX_SEAL_WIDTH)].filter(Boolean).join(", "),
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
