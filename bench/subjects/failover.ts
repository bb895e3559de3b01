/**
 * What it costs a client when the way that its packets take changes, measured in the network of namespaces in which it is
 * also proved (`tests/netns/`), every role a process on a machine of its own:
 *
 *   client ─ NAT ─ supernode ═ supernode ─ NAT ─ exits ─ internet      everybody on the same cores
 *
 * An exit is lost by kill -9, by its cable, or by datagrams that vanish while its control stream stays; counted is the time
 * until a TCP connection through the tunnel, begun after the loss, has its answer. Planned changes, which are a rotation
 * that the client asks for, an exit that drains, and the upgrade from relay to direct, happen under a flow of 100 Mbit/s,
 * and what it loses is counted.
 */

import { FAULTS } from "../../tests/netns/fixtures/faults.ts";
import { flowOverUpgrade, flowWhile } from "../../tests/netns/fixtures/flows.ts";
import { TcpProbe } from "../../tests/netns/fixtures/tcp_probe.ts";
import { exitName } from "../../tests/netns/fixtures/topology.ts";
import { Vpn, type VpnOptions } from "../../tests/netns/fixtures/vpn.ts";
import type { Measurement, MeasureOptions, Subject } from "../subject.ts";

const full = { rounds: 20, changes: 5, upgrades: 5 };
const quick = { rounds: 5, changes: 1, upgrades: 1 };

/** One that was lost may be a while in coming back. */
const EXITS = 3;

export const failoverSubject: Subject = {
  name: "failover",
  summary: "an exit is killed, unplugged, black-holed; planned changes under a flow",
  unit: "ms",
  better: "lower",
  measure,
};

async function measure({ quick: isQuick, report }: MeasureOptions): Promise<Measurement> {
  const { rounds, changes, upgrades } = isQuick ? quick : full;
  const lost = await withNetwork({ exits: EXITS }, (vpn) => measureLosses(vpn, rounds, report));
  report("planned changes under a flow of 100 Mbit/s");
  const planned = await withNetwork({ exits: 2 }, (vpn) => measurePlanned(vpn, changes));
  report("from relay to direct under a flow of 100 Mbit/s");
  const upgrade = await withNetwork({}, (vpn) => measureUpgrades(vpn, upgrades));
  const all = [...lost.values()].flat();
  const figures = Object.fromEntries([...lost].map(([name, tookMs]) => [`${name.replace("-", "")}_ms`, p95(tookMs)]));
  return {
    ours: p95(all),
    peers: {},
    figures: { ...figures, planned_lost_packets: planned, upgrade_lost_packets: upgrade },
    missing: [],
  };
}

async function withNetwork<T>(options: VpnOptions, act: (vpn: Vpn) => Promise<T>): Promise<T> {
  await using vpn = await Vpn.open(options);
  await vpn.start();
  const result = await act(vpn);
  await vpn.stop();
  return result;
}

/** Milliseconds until TCP works again, by what has happened to the exit. */
async function measureLosses(
  vpn: Vpn,
  rounds: number,
  report: MeasureOptions["report"],
): Promise<Map<string, number[]>> {
  const { client, internet } = vpn.topology;
  await vpn.startClient();
  await vpn.exitInUse();
  await using probe = await TcpProbe.start(client.machine, internet.v4);
  const tookMs = new Map<string, number[]>(FAULTS.map(({ name }) => [name, []]));
  for (let round = 1; round <= rounds; round++) {
    report(`an exit is killed, unplugged, black-holed: ${round} of ${rounds}`);
    for (const { name, strike, mend } of FAULTS) {
      const exit = await vpn.exitInUse();
      const struckMs = Date.now();
      await strike(vpn, exit);
      tookMs.get(name)!.push((await probe.worksAgain(struckMs)).tookMs);
      await mend(vpn, exit);
    }
  }
  return tookMs;
}

/** Datagrams lost in rotations and drains together. */
async function measurePlanned(vpn: Vpn, changes: number): Promise<number> {
  let lost = 0;
  await vpn.startClient();
  for (let turn = 0; turn < changes; turn++) {
    await vpn.exitInUse();
    lost += (await flowWhile(vpn, () => vpn.ask("client", ["client", "rotate"]))).lost;
    const exit = await vpn.exitInUse();
    const stopping: Promise<number>[] = [];
    lost += (await flowWhile(vpn, () => Promise.resolve(stopping.push(vpn.stopRole(exitName(exit)))))).lost;
    await Promise.all(stopping);
    await vpn.startExit(exit);
  }
  return lost;
}

async function measureUpgrades(vpn: Vpn, upgrades: number): Promise<number> {
  let lost = 0;
  for (let turn = 0; turn < upgrades; turn++) {
    lost += (await flowOverUpgrade(vpn)).lost;
    await vpn.stopRole("client");
  }
  return lost;
}

function p95(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.ceil(values.length * 0.95) - 1]!;
}
