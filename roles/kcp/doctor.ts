/**
 * `culvert kcp doctor`: says in words what is wrong, and what to do about it.
 *
 *   doctor host:port       on a client: rights, the way there, rules, whether the far end answers, clocks, MTU
 *   doctor --listen ports  on a server: rights, the ports, rules, and what comes while it looks
 */

import { z } from "zod";
import { openLibc } from "../../native/libc.ts";
import { PacketTap } from "../../native/packet_tap/packet_tap.ts";
import { sayingsOfPath } from "../../native/path_sayings.ts";
import { guardPorts } from "../../native/raw_guard/guard.ts";
import { guardState } from "../../native/raw_guard/guard_state.ts";
import { ephemeralPorts, riskOf } from "../../native/raw_guard/port_risks.ts";
import { portUsers, userText } from "../../native/raw_guard/port_users.ts";
import { type RouteTo, routeTo } from "../../native/route_to.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import { parseIp } from "../../protocol/ip.ts";
import { silentLog } from "../../protocol/log.ts";
import { formatPorts, type PortSpan } from "../../protocol/port_span.ts";
import { durationMs } from "../fields.ts";
import { ownRights } from "../machine/privileges.ts";
import { portsField } from "./dump.ts";
import {
  addressOf,
  type FarEnd,
  type FarPlace,
  farPlace,
  openFarEnd,
  openSeal,
  speakingShape,
  type ToolContext,
} from "./far_end.ts";
import * as found from "./findings.ts";
import type { Finding } from "./findings.ts";
import { readPacket } from "./packet_text.ts";

export const doctorConfig = z.object({
  to: farPlace().optional().describe("On a client: the server.").meta({ positional: true, placeholder: "host:port" }),
  listen: portsField().optional().describe("On a server: its ports."),
  ...speakingShape,
  watch: durationMs("10s", { minMs: 100, maxMs: 600_000 }).describe("On a server: how long to look at what comes."),
});
export type DoctorConfig = z.output<typeof doctorConfig>;

const ASKED = 3;
const ANSWER_MS = 1500;
/** Our own dialect says hello several times before it gives up. */
const HELLO_MS = 5000;
const RIGHTS_ADVICE = "Use sudo, or a service with AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN";

/** Rejects with `problems_found` after all has been told. */
export async function runDoctor(config: DoctorConfig, context: ToolContext): Promise<void> {
  const { to, listen } = config;
  if ((to === undefined) === (listen === undefined)) {
    throw new CulvertError(
      "bad_option",
      "Cannot look for what is wrong: give the server on a client, or --listen on a server",
    );
  }
  const findings: Finding[] = [];
  for await (const finding of to ? clientFindings(to, config, context) : serverFindings(listen!, config, context)) {
    findings.push(finding);
    if (!context.json) context.print(findingText(finding));
  }
  if (context.json) context.print(JSON.stringify({ findings }));
  const problems = findings.filter(({ verdict }) => verdict === "problem");
  if (problems.length === 0) return;
  throw new CulvertError("problems_found", `Found what is wrong: ${problems.map(({ check }) => check).join(", ")}`);
}

const MARKS: Readonly<Record<found.Verdict, string>> = {
  ok: "ok",
  warning: "warning",
  problem: "PROBLEM",
  skipped: "-",
};

function findingText({ check, verdict, says, advice }: Finding): string {
  const line = `${MARKS[verdict].padEnd(8)} ${check.padEnd(9)} ${says}`;
  return advice === undefined ? line : `${line}\n${" ".repeat(19)}→ ${advice}`;
}

async function* clientFindings(to: FarPlace, config: DoctorConfig, context: ToolContext): AsyncGenerator<Finding> {
  const { clock, signal } = context;
  using libc = openLibc();
  const isRaw = config.carrier === "raw";
  if (isRaw) yield found.rightsFinding((await ownRights()).capabilities);
  let address: string, route: RouteTo;
  try {
    address = await addressOf(to.host);
    route = await routeTo(libc, address, { clock, signal });
  } catch (error) {
    signal.throwIfAborted();
    return yield found.noWayFinding(error);
  }
  yield found.wayFinding(address, route);
  if (isRaw) yield await canGuard(libc, context);
  const path = await sayingsOfPath(libc, parseIp(address)!, { port: to.ports.first, clock, signal }).catch((error) => {
    signal.throwIfAborted();
    context.log.debug("The path says nothing", { error: messageOf(error) });
    return undefined;
  });
  const isRefused = path?.isRefused ?? false;
  // Who is told already need not ask for long.
  const times = isRefused && !isRaw ? 1 : ASKED;
  const asked = await ask(libc, { host: address, ports: to.ports }, times, config, context);
  const where = `${to.host}:${formatPorts(to.ports)}`;
  const { carrier } = config;
  yield found.answerFinding({ where, carrier, ...asked.facts, isRefused });
  yield found.clockFinding(clock.wallNow(), asked.clockBehindMs);
  yield found.mtuFinding({
    overheadBytes: asked.overheadBytes,
    linkBytes: route.mtuBytes,
    ...path && { routersBytes: path.mtuBytes },
    ...asked.payloadBytes !== undefined && { payloadBytes: asked.payloadBytes },
  });
}

type Libc = ReturnType<typeof openLibc>;

/** Sets rules for a port that nobody uses, and takes them away. */
async function canGuard(libc: Libc, { clock }: ToolContext): Promise<Finding> {
  try {
    await using guard = guardPorts({ libc, ports: [0], side: "client", clock, log: silentLog });
    return found.canGuardFinding(guard.way);
  } catch (error) {
    return found.faultFinding("rules", error, RIGHTS_ADVICE);
  }
}

interface Asked {
  readonly facts: Omit<found.AnswerFacts, "where" | "carrier">;
  readonly clockBehindMs?: number;
  readonly payloadBytes?: number;
  readonly overheadBytes: number;
}

async function ask(
  libc: Libc,
  place: FarPlace,
  times: number,
  config: DoctorConfig,
  context: ToolContext,
): Promise<Asked> {
  const watched = watchAnswers(libc, place, context);
  const roundTripsMs: number[] = [];
  let clockBehindMs: number | undefined, payloadBytes: number | undefined, error: Error | undefined;
  let far: FarEnd | undefined;
  try {
    far = await openFarEnd(place, config, context);
    const timeoutMs = config.dialect === "culvert" ? HELLO_MS : ANSWER_MS;
    for (let asked = 0; asked < times; asked++) {
      const answer = await far.ask({ timeoutMs, signal: context.signal });
      if (answer) roundTripsMs.push(answer.roundTripMs);
      clockBehindMs = answer?.clockBehindMs ?? clockBehindMs;
      // Another hello after one in vain takes long and tells no more.
      if (!answer && config.dialect === "culvert") break;
    }
    if (roundTripsMs.length > 0) payloadBytes = await far.findMtu?.(context.signal);
  } catch (thrown) {
    context.signal.throwIfAborted();
    error = thrown instanceof Error ? thrown : new Error(messageOf(thrown));
  } finally {
    await far?.[Symbol.asyncDispose]();
  }
  const seen = await watched?.end();
  return {
    facts: {
      asked: times,
      roundTripsMs,
      strangePackets: far?.strangePackets() ?? 0,
      ...seen,
      ...error && { error },
    },
    overheadBytes: far?.overheadBytes ?? 0,
    ...clockBehindMs !== undefined && { clockBehindMs },
    ...payloadBytes !== undefined && { payloadBytes },
  };
}

interface Watched {
  end(): Promise<{ readonly packets: number; readonly resets: number }>;
}

/** Counts what comes from the far end's ports; undefined without the right to look. */
function watchAnswers(libc: Libc, { host, ports }: FarPlace, context: ToolContext): Watched | undefined {
  let tap: PacketTap;
  try {
    tap = new PacketTap(libc, { ports });
  } catch (error) {
    context.log.debug("What comes back cannot be seen", { error: messageOf(error) });
    return undefined;
  }
  const over = new AbortController();
  let packets = 0, resets = 0;
  const run = tap.run(over.signal, ({ slab, start, end, isOutgoing }) => {
    const story = isOutgoing ? undefined : readPacket(slab, start, end);
    if (story?.from !== host || story.fromPort < ports.first || story.fromPort >= ports.first + ports.count) return;
    packets++;
    if (story.isReset) resets++;
  }).catch((error) => context.log.debug("What comes back cannot be seen", { error: messageOf(error) }));
  return {
    async end() {
      over.abort();
      await run;
      tap[Symbol.dispose]();
      return { packets, resets };
    },
  };
}

async function* serverFindings(ports: PortSpan, config: DoctorConfig, context: ToolContext): AsyncGenerator<Finding> {
  using libc = openLibc();
  const isRaw = config.carrier === "raw";
  const rights = found.rightsFinding((await ownRights()).capabilities);
  yield rights;
  if (isRaw) {
    yield portFinding(ports);
    yield guardedFinding(libc, ports);
  }
  yield found.clockFinding(context.clock.wallNow());
  if (rights.verdict !== "problem") yield await watchArrivals(libc, ports, config, context);
}

function portFinding(ports: PortSpan): Finding {
  const ephemeral = ephemeralPorts();
  for (let port = ports.first; port < ports.first + ports.count; port++) {
    const users = portUsers(port);
    const isListened = users[0]?.state === "LISTEN";
    if (isListened) {
      const says = `Port ${port} is in use: ${userText(users)}`;
      return { check: "port", verdict: "problem", says, advice: "Choose a port that nothing listens on" };
    }
    const risk = riskOf(port, { side: "server", ephemeral });
    if (risk !== undefined) return { check: "port", verdict: "warning", says: `Port ${port}: ${risk}` };
  }
  return { check: "port", verdict: "ok", says: `Nothing of this machine listens on ${formatPorts(ports)}` };
}

function guardedFinding(libc: Libc, { first }: PortSpan): Finding {
  try {
    return found.guardFinding(guardState(libc, first), first);
  } catch (error) {
    return found.faultFinding("rules", error, RIGHTS_ADVICE);
  }
}

async function watchArrivals(
  libc: Libc,
  ports: PortSpan,
  config: DoctorConfig,
  context: ToolContext,
): Promise<Finding> {
  const { clock, signal } = context;
  const hasSeal = config.dialect !== "culvert" && config.key !== undefined;
  using stack = new DisposableStack();
  const seal = hasSeal ? stack.use(await openSeal(config, context)) : undefined;
  using tap = new PacketTap(libc, { ports });
  const over = new AbortController();
  using _timer = clock.after(config.watch, () => over.abort());
  const isOurs = (port: number) => port >= ports.first && port < ports.first + ports.count;
  const sources = new Map<string, number>();
  let packets = 0, opened = 0, resetsSent = 0;
  await tap.run(AbortSignal.any([signal, over.signal]), ({ slab, start, end, isOutgoing }) => {
    const story = readPacket(slab, start, end, isOutgoing ? undefined : seal);
    if (!story) return;
    if (isOutgoing) return void (story.isReset && isOurs(story.fromPort) && resetsSent++);
    if (!isOurs(story.toPort) || story.payloadBytes === 0) return;
    packets++;
    if (story.isOpened) opened++;
    if (sources.size < MOST_SOURCES || sources.has(story.from)) {
      sources.set(story.from, (sources.get(story.from) ?? 0) + 1);
    }
  });
  signal.throwIfAborted();
  const [from] = [...sources].toSorted(([, a], [, b]) => b - a)[0] ?? [];
  const seconds = Math.round(config.watch / 100) / 10;
  return found.arrivalsFinding({
    seconds,
    packets,
    resetsSent,
    ...from !== undefined && { from },
    ...seal && { opened },
  });
}

/** A flood of forged ones is not remembered one by one. */
const MOST_SOURCES = 1000;
