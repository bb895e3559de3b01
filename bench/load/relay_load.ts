/**
 * What is sent through a relay on this machine, by a pair of sockets around it. It does what the lines of its standard input
 * say and answers each with a line of JSON:
 *
 *   ours PORT CLIENT_KEY EXIT_KEY       makes the two sockets the sides of this session (keys in base64)
 *   turn PORT                           makes one of them a client of this TURN server, the other its peer
 *   pump BYTES WINDOW WARM_MS MS        datagrams of that size, so many bytes under way: Gbit/s of them
 *   trip BYTES COUNT                    there and back, through the relay (ours only) and without it: median milliseconds
 */

import { dataFor, initiationFor, responseFor } from "../../protocol/wireguard/fixtures/relayed_messages.ts";
import { DatagramPair } from "./datagram_pair.ts";
import { channelData, openTurnChannel } from "./turn.ts";

const TO_EXIT = 1;
const TO_CLIENT = 2;

export async function serveRelayLoad(lines: AsyncIterable<string>, print: (line: unknown) => void): Promise<void> {
  using pair = new DatagramPair();
  let port = 0;
  let wrap = (data: Uint8Array) => data;
  print({ ready: true });
  for await (const line of lines) {
    const [what, ...words] = line.split(" ");
    const numbers = words.map(Number);
    if (what === "ours") {
      port = numbers[0]!;
      meet(pair, port, Uint8Array.fromBase64(words[1]!), Uint8Array.fromBase64(words[2]!));
      print({ ready: true });
    } else if (what === "turn") {
      port = numbers[0]!;
      wrap = channelData;
      openTurnChannel(pair.near, port, pair.far.port);
      print({ ready: true });
    } else if (what === "pump") {
      const [bytes, windowBytes, warmMs, measureMs] = numbers as [number, number, number, number];
      print(pair.pump(port, wrap(dataFor(TO_EXIT, { bytes })), { windowBytes, warmMs, measureMs }));
    } else if (what === "trip") {
      const [bytes, count] = numbers as [number, number];
      const datagram = dataFor(TO_EXIT, { bytes });
      const directMs = pair.roundTrip(pair.far.port, pair.near.port, datagram, count);
      print({ directMs, throughMs: pair.roundTrip(port, port, datagram, count) });
    }
  }
}

type Key = Uint8Array<ArrayBuffer>;

/** A handshake through the relay; both initiate, because it knows neither. */
function meet({ near, far }: DatagramPair, port: number, clientKey: Key, exitKey: Key): void {
  near.send(port, initiationFor(exitKey, TO_CLIENT));
  far.send(port, initiationFor(clientKey, TO_EXIT));
  near.await();
  near.send(port, responseFor(exitKey, TO_CLIENT, TO_EXIT));
  far.await();
  far.send(port, dataFor(TO_CLIENT));
  near.await();
}
