import { assertEquals } from "@std/assert";
import { CarrierGroup } from "../../protocol/carrier_group.ts";
import { clockOf } from "../../protocol/clock.ts";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import type { PacketCarrier } from "../../protocol/packet_carrier.ts";
import { randomOf } from "../../protocol/random.ts";
import { eventually, within } from "../../testing/waiting.ts";
import { openUdpCarrier } from "./udp_carrier.ts";

const options = {
  kind: "udp",
  listen: { host: "127.0.0.1" },
  clock: clockOf(globalThis),
  random: randomOf(crypto),
  log: silentLog,
  metrics: noMetrics,
} as const;

/** A carrier that counts what comes, and says when it has ended. */
class Counted {
  readonly carrier: PacketCarrier;
  received = 0;
  readonly ended = Promise.withResolvers<void>();

  constructor(group: CarrierGroup) {
    this.carrier = openUdpCarrier({ ...options, group });
    this.carrier.start({
      onPacket: () => this.received++,
      onTurn: () => {},
      onClose: () => this.ended.resolve(),
    });
  }

  sendTo(port: number): void {
    const at = this.carrier.reserve(4);
    this.carrier.slab.bytes.set([1, 2, 3, 4], at);
    this.carrier.commit(4, this.carrier.place("127.0.0.1", port));
    this.carrier.flush();
  }
}

Deno.test("a hundred carriers of one group wait in one thread, and whoever waits elsewhere finds one", async () => {
  const group = new CarrierGroup();
  const all = Array.from({ length: 100 }, () => new Counted(group));
  const [first] = all;
  const sendRound = () => all.forEach((each) => each.sendTo(each.carrier.localPorts[0]!));
  sendRound();
  await eventually("each has heard itself", () => all.every(({ received }) => received === 1));
  // The host's threads are not all taken: this needs one.
  await within("a file is read", Deno.readTextFile(new URL(import.meta.url)));
  const leaving = all.splice(0, 50);
  for (const { carrier } of leaving) carrier.close();
  await within("half of them end", Promise.all(leaving.map(({ ended }) => ended.promise)));
  sendRound();
  await eventually("the others go on", () => all.every(({ received }) => received === 2));
  assertEquals(first!.received, 1);
  for (const { carrier } of all) carrier.close();
  await within("the others end", Promise.all(all.map(({ ended }) => ended.promise)));
  const last = new Counted(group);
  last.sendTo(last.carrier.localPorts[0]!);
  await eventually("a group is used again", () => last.received === 1);
  await last.carrier[Symbol.asyncDispose]();
});
