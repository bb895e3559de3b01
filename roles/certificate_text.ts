/**
 * What a certificate says, in words and within 80 columns.
 */

import { ANY_REGION, type CertificateClaims } from "../protocol/certificate.ts";

/** The largest first. */
const UNITS = [["days", 86_400_000], ["hours", 3_600_000], ["minutes", 60_000]] as const;
const WIDTH = 66;

const SIGNATURE_WORDS = {
  good: "good",
  bad: "BAD: not made by that network",
  unchecked: "not checked: give --network-public-key",
};

/** Lines for a person. */
export function describeCertificate(
  certificate: CertificateClaims,
  context: { readonly nowMs: number; readonly signature: keyof typeof SIGNATURE_WORDS },
): string[] {
  const { serial, peerId, roles, region, networkId, notBeforeMs, notAfterMs } = certificate;
  return [
    `certificate  ${serial}`,
    `peer         ${peerId}`,
    ...wrap(roles).map((line, at) => (at === 0 ? "may be       " : "             ") + line),
    `where        ${region === ANY_REGION ? "anywhere" : region}`,
    `network      ${networkId}`,
    `valid        ${dateOf(notBeforeMs)} to ${dateOf(notAfterMs)}`,
    `             ${validity(certificate, context.nowMs)}`,
    `signature    ${SIGNATURE_WORDS[context.signature]}`,
  ];
}

function validity({ notBeforeMs, notAfterMs }: CertificateClaims, nowMs: number): string {
  if (nowMs < notBeforeMs) return `not yet: it begins in ${span(notBeforeMs - nowMs)}`;
  if (nowMs >= notAfterMs) return `EXPIRED ${span(nowMs - notAfterMs)} ago`;
  return `for another ${span(notAfterMs - nowMs)}`;
}

function span(ms: number): string {
  for (const [name, unitMs] of UNITS) {
    const count = Math.round(ms / unitMs);
    if (count >= 2) return `${count} ${name}`;
  }
  return "1 minute";
}

function dateOf(ms: number): string {
  return new Date(ms).toISOString().replace("T", " ").replace(/:\d\d\.\d+Z$/, " UTC");
}

function wrap(words: readonly string[]): string[] {
  const lines: string[] = [];
  for (const [at, word] of words.entries()) {
    const item = at < words.length - 1 ? `${word}, ` : word;
    const last = lines.at(-1);
    if (last === undefined || last.length + item.length > WIDTH) lines.push(item);
    else lines[lines.length - 1] = last + item;
  }
  return lines.map((line) => line.trimEnd());
}
