/** What a receiver makes of frames that did not come as they were sent. */

import { assertEquals } from "@std/assert";
import { assembleChecks, INSTRUCTION_BYTES } from "../../protocol/bpf.ts";
import { clockOf } from "../../protocol/clock.ts";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import { randomOf } from "../../protocol/random.ts";
import { tcpLook } from "../../protocol/tcp_look/look.ts";
import { CarrierListener } from "../../testing/packet_carrier_contract.ts";
import { testWith } from "../../testing/requirements.ts";
import { eventually } from "../../testing/waiting.ts";
import { openLibc } from "../libc.ts";
import { openRawCarrier } from "./open_raw_carrier.ts";
import { openReceiving } from "./packet_socket.ts";
import { RawPlaces } from "./raw_place.ts";
import { RawReceiver } from "./raw_receiver.ts";

const surroundings = { clock: clockOf(globalThis), random: randomOf(crypto), log: silentLog, metrics: noMetrics };

testWith({ root: true }, "a frame that was cut short is dropped and counted", async () => {
  using libc = openLibc();
  // Takes every IPv4 packet of loopback, but only its first hundred bytes.
  const filter = assembleChecks([]);
  new DataView(filter.buffer).setUint32(4, 100, true);
  using fd = openReceiving(libc, { isV6: false, filter, interfaceIndex: 1 });
  assertEquals(filter.length, 2 * INSTRUCTION_BYTES);
  const look = tcpLook("ours", { side: "server", random: surroundings.random, unixMs: 0 });
  const counters = { receivedPackets: 0, truncatedFrames: 0, refusedPackets: 0 };
  let packets = 0;
  const handlers = { onPacket: () => void packets++, onTurn() {}, onClose() {} };
  const receiver = new RawReceiver(libc, {
    fd: fd.number,
    look,
    places: new RawPlaces(look, false),
    handlers,
    counters,
  });

  const listen = { host: "127.0.0.1" };
  await using far = await openRawCarrier({ kind: "raw", listen, ...surroundings });
  const port = far.localPorts[0]!;
  await using near = await openRawCarrier({ kind: "raw", peer: { host: "127.0.0.1", ports: port }, ...surroundings });
  const end = new CarrierListener(near);
  end.send(new Uint8Array(1000), near.place("127.0.0.1", port));
  await eventually("the frame is counted", () => {
    while (receiver.receive() > 0);
    return counters.truncatedFrames > 0;
  });
  assertEquals([packets, counters.receivedPackets], [0, 0]);
});
