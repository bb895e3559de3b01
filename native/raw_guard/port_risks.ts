/**
 * What may go wrong with a port although it is free, in words for whoever chose it.
 */

/** Where this machine may come to serve or to be a client of something, and what has its own rules in firewalls. */
const WELL_KNOWN: ReadonlyMap<number, string> = new Map([
  [22, "SSH"],
  [25, "SMTP"],
  [53, "DNS"],
  [80, "HTTP"],
  [110, "POP3"],
  [143, "IMAP"],
  [443, "HTTPS"],
  [465, "SMTP"],
  [587, "SMTP"],
  [853, "DNS"],
  [993, "IMAP"],
  [8080, "HTTP"],
  [8443, "HTTPS"],
]);

/** Undefined when there is none. A client's port is seen by the server alone. */
export function riskOf(port: number, side: "client" | "server"): string | undefined {
  const service = WELL_KNOWN.get(port);
  if (service === undefined || side === "client") return undefined;
  return `Nothing on this machine can serve ${service} on this port while it is guarded`;
}
