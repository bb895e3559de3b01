/**
 * `culvert kcp dump`: shows the packets of a port as they pass this machine, whoever they belong to, and with a key whether it
 * opens them and what is in them. Linux, CAP_NET_RAW; nothing is held up or changed.
 */

import { z } from "zod";
import { openLibc } from "../../native/libc.ts";
import { PacketTap } from "../../native/packet_tap/packet_tap.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { parsePorts, type PortSpan } from "../../protocol/port_span.ts";
import { openSeal, speakingShape, type ToolContext } from "./far_end.ts";
import { packetText, readPacket } from "./packet_text.ts";

const PORTS_RULE = "a port, or several in a row such as 45000-45007";

export function portsField(): z.ZodType<PortSpan> {
  return z.string().meta({ placeholder: "ports", rule: PORTS_RULE }).transform((text, context): PortSpan => {
    const ports = parsePorts(text);
    if (ports) return ports;
    context.issues.push({ code: "custom", message: PORTS_RULE, input: text });
    return z.NEVER;
  });
}

export const dumpConfig = z.object({
  ports: portsField().describe("The port, of either end.").meta({ positional: true, placeholder: "ports" }),
  dialect: z.enum(["kcptun", "paqet", "gfk-go"]).default("kcptun").describe("Whose packets --key opens."),
  key: speakingShape.key,
  crypt: speakingShape.crypt,
  interface: z.string().min(1).optional().describe("Only this interface.").meta({ placeholder: "name" }),
  count: z.number().int().min(1).optional().describe("End after so many.").meta({ placeholder: "count" }),
});
export type DumpConfig = z.output<typeof dumpConfig>;

/** Until the signal aborts, or there were as many packets as asked for. */
export async function runDump(config: DumpConfig, context: ToolContext): Promise<void> {
  const { json, print, clock, signal } = context;
  using stack = new DisposableStack();
  const hasKey = config.key !== undefined || config.crypt === "none" || config.crypt === "null";
  const seal = hasKey ? stack.use(await openSeal({ ...config, carrier: "raw" }, context)) : undefined;
  const libc = stack.use(openLibc());
  const tap = stack.use(openTap(() =>
    new PacketTap(libc, {
      ports: config.ports,
      ...config.interface !== undefined && { interfaceName: config.interface },
    })
  ));
  const done = new AbortController();
  let seen = 0;
  await tap.run(AbortSignal.any([signal, done.signal]), ({ slab, start, end, isOutgoing }) => {
    if (done.signal.aborted) return;
    const story = readPacket(slab, start, end, seal);
    if (!story) return;
    const time = new Date(clock.wallNow()).toISOString();
    if (json) print(JSON.stringify({ time, isOutgoing, ...story }));
    else print(`${time.slice(11, 23)} ${isOutgoing ? "out" : "in "} ${packetText(story)}`);
    if (++seen === config.count) done.abort();
  });
}

/** Says what is needed where it is not there. */
export function openTap<T>(open: () => T): T {
  try {
    return open();
  } catch (error) {
    if (!(error instanceof CulvertError) || error.code !== "EPERM") throw error;
    throw new CulvertError(
      "denied",
      "Cannot look at packets: it needs root or the capability CAP_NET_RAW. Use sudo, or a service with " +
        "AmbientCapabilities=CAP_NET_RAW",
      { cause: error },
    );
  }
}
