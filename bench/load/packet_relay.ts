/**
 * Our packet relay and nothing else, for benchmarks. It does what the lines of its standard input say and answers each with
 * a line of JSON:
 *
 *   open KEY        a relay with that key (base64), which leads anywhere on loopback     {"port": 40123}
 *   counts          what it has led on                                                   {"forwardedPackets": …}
 */

import { openPacketRelay } from "../../native/relay_packets/relay_packets.ts";
import { parseRouteRule } from "../../protocol/sealed_route/policy.ts";

export async function servePacketRelay(
  lines: AsyncIterable<string>,
  print: (line: unknown) => void,
): Promise<void> {
  await using resources = new AsyncDisposableStack();
  print({ ready: true });
  let relay: Awaited<ReturnType<typeof openPacketRelay>> | undefined;
  for await (const line of lines) {
    const [what, key] = line.split(" ");
    if (what === "open") {
      relay = resources.use(
        await openPacketRelay({
          relayKey: Uint8Array.fromBase64(key!),
          clients: ["bench"],
          listen: { address: Uint8Array.of(127, 0, 0, 1), port: 0 },
          rules: [parseRouteRule("127.0.0.0/8")!],
        }),
      );
      print({ port: relay.port });
    } else if (what === "counts") {
      print(await relay!.counts());
    }
  }
}
