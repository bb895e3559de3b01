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

/** Where the kernel takes the ports of outgoing connections from. */
export interface EphemeralPorts {
  readonly from: number;
  readonly to: number;
}

/** This thread's network namespace's; undefined where it cannot be seen. */
export function ephemeralPorts(): EphemeralPorts | undefined {
  try {
    const [from, to] = Deno.readTextFileSync("/proc/sys/net/ipv4/ip_local_port_range").trim().split(/\s+/).map(Number);
    return from! > 0 && to! >= from! ? { from: from!, to: to! } : undefined;
  } catch {
    return undefined;
  }
}

/** Undefined when there is none. A client's port is seen by the server alone, and can be another the next time. */
export function riskOf(
  port: number,
  { side, ephemeral }: { readonly side: "client" | "server"; readonly ephemeral: EphemeralPorts | undefined },
): string | undefined {
  if (side === "client") return undefined;
  const service = WELL_KNOWN.get(port);
  if (service !== undefined) return `Nothing on this machine can serve ${service} on this port while it is guarded`;
  if (!ephemeral || port < ephemeral.from || port > ephemeral.to) return undefined;
  return "The kernel gives this port to outgoing connections while it is not guarded; one may have it at the next start. " +
    `Choose one that is not from ${ephemeral.from} to ${ephemeral.to}`;
}
