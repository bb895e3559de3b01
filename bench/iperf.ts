/**
 * iperf3 and ping between two network namespaces, and what they say as numbers.
 */

import type { NetNamespace } from "../testing/netns.ts";
import { Program } from "../testing/program.ts";
import { findTool } from "../testing/requirements.ts";
import { median } from "./rounds.ts";

export interface TcpLoad {
  readonly seconds: number;
  /** Not counted, while windows open. */
  readonly warmS: number;
  /** Default `forward`: from the client to the server. */
  readonly direction?: "forward" | "reverse" | "both";
  /** Default 1. */
  readonly streams?: number;
  /** Whose congestion control, such as `cubic`; default: the system's. */
  readonly congestion?: string;
}

export interface UdpLoad {
  readonly seconds: number;
  /** Of each datagram's payload. */
  readonly bytes: number;
  /** Left out: as fast as it goes. */
  readonly mbitPerS?: number;
}

/** An iperf3 server in a namespace; dispose the program to stop it. */
export async function startIperf(namespace: NetNamespace): Promise<Program> {
  const command = [findTool("iperf3") ?? "iperf3", "--server", "--forceflush"];
  const program = new Program(namespace.inside(command), { quiet: true });
  while (!(await program.readLine()).includes("listening"));
  return program;
}

/** Gbit/s that arrived, in both directions together, and segments that had to be sent again. */
export async function measureTcp(
  client: NetNamespace,
  host: string,
  load: TcpLoad,
): Promise<{ gbitPerS: number; retransmits: number }> {
  const { seconds, warmS, direction = "forward", streams = 1, congestion } = load;
  const flags = { forward: [], reverse: ["--reverse"], both: ["--bidir"] }[direction];
  const chosen = congestion === undefined ? [] : ["--congestion", congestion];
  const end = await iperf(client, host, [
    ...flags,
    ...chosen,
    "--time",
    `${seconds}`,
    "--omit",
    `${warmS}`,
    "-P",
    `${streams}`,
  ]);
  const received = [end.sum_received, end.sum_received_bidir_reverse];
  const sent = [end.sum_sent, end.sum_sent_bidir_reverse];
  return {
    gbitPerS: sumOf(received.map((sum) => sum?.bits_per_second)) / 1e9,
    retransmits: sumOf(sent.map((sum) => sum?.retransmits)),
  };
}

export interface UdpResult {
  /** What iperf3 got. */
  readonly gbitPerS: number;
  /** Lost on the way to the server's kernel, of what was sent. */
  readonly lostPct: number;
  /** Came to the server, but found iperf3's own buffer full: it was not quick enough to read. */
  readonly unreadPct: number;
}

/** Sends to an iperf3 server in the other namespace. */
export async function measureUdp(
  client: NetNamespace,
  server: { readonly namespace: NetNamespace; readonly host: string },
  load: UdpLoad,
): Promise<UdpResult> {
  const { seconds, bytes, mbitPerS = 0 } = load;
  const rate = ["--bitrate", mbitPerS === 0 ? "0" : `${Math.round(mbitPerS)}M`, "--length", `${bytes}`];
  const before = await unreadDatagrams(server.namespace);
  const end = await iperf(client, server.host, ["--udp", ...rate, "--time", `${seconds}`]);
  const { bits_per_second = 0, lost_percent = 0, packets = 0 } = end.sum ?? {};
  const unreadPct = packets === 0 ? 0 : 100 * (await unreadDatagrams(server.namespace) - before) / packets;
  return {
    gbitPerS: bits_per_second * (1 - lost_percent / 100) / 1e9,
    lostPct: Math.max(0, lost_percent - unreadPct),
    unreadPct,
  };
}

/** How many datagrams a namespace's kernel has thrown away because nobody read those before them. */
async function unreadDatagrams(namespace: NetNamespace): Promise<number> {
  const { stdout } = await namespace.run(["cat", "/proc/net/snmp"]);
  const [names, values] = stdout.split("\n").filter((line) => line.startsWith("Udp:")).map((line) => line.split(" "));
  return Number(values?.[names?.indexOf("RcvbufErrors") ?? -1]);
}

/** The median round trip in milliseconds. */
export async function measurePing(client: NetNamespace, host: string, count: number): Promise<number> {
  const { stdout } = await client.run(["ping", "-c", `${count}`, "-i", "0.005", host]);
  return median([...stdout.matchAll(/time=([\d.]+) ms/g)].map(([, ms]) => Number(ms)));
}

interface Sum {
  readonly bits_per_second?: number;
  readonly retransmits?: number;
  readonly lost_percent?: number;
  readonly packets?: number;
}

type End = Partial<
  Record<"sum" | "sum_sent" | "sum_received" | "sum_sent_bidir_reverse" | "sum_received_bidir_reverse", Sum>
>;

async function iperf(client: NetNamespace, host: string, flags: readonly string[]): Promise<End> {
  const { stdout } = await client.run(["iperf3", "--client", host, "--json", ...flags], { mayFail: true });
  const { end, error } = JSON.parse(stdout) as { end: End; error?: string };
  if (error !== undefined) throw new Error(`Cannot measure ${host}: iperf3 says: ${error}`);
  return end;
}

function sumOf(values: readonly (number | undefined)[]): number {
  return values.reduce<number>((sum, value) => sum + (value ?? 0), 0);
}
