/**
 * Our blind relay and nothing else, for benchmarks and for tests with devices in namespaces. It does what the lines of its
 * standard input say and answers each with a line of JSON:
 *
 *   open CLIENT_KEY EXIT_KEY     a session between these public keys (base64)         {"port": 40123}
 *   fill N                       so many sessions that nobody uses                    {"sessions": 5000}
 *   counts                       what the first session has carried                   {"toExitBytes": …}
 */

import { openRelay } from "../../native/relay/relay.ts";

export async function serveBlindRelay(lines: AsyncIterable<string>, print: (line: unknown) => void): Promise<void> {
  await using relay = await openRelay({ firstPort: 0, lastPort: 0 });
  let sessions = 0;
  const open = (clientKey: Uint8Array<ArrayBuffer>, exitKey: Uint8Array<ArrayBuffer>) =>
    relay.open({ sessionId: `${sessions++}`, clientKey, exitKey });
  print({ ready: true });
  for await (const line of lines) {
    const [what, ...words] = line.split(" ");
    if (what === "open") {
      const [clientKey, exitKey] = words.map((word) => Uint8Array.fromBase64(word));
      print({ port: await open(clientKey!, exitKey!) });
    } else if (what === "fill") {
      for (const until = sessions + Number(words[0]); sessions < until;) await open(randomKey(), randomKey());
      print({ sessions });
    } else if (what === "counts") {
      const [{ port, toExitBytes, toClientBytes, droppedDatagrams }] = await relay.counts() as [Counts];
      print({ port, toExitBytes, toClientBytes, droppedDatagrams });
    }
  }
}

type Counts = Awaited<ReturnType<Awaited<ReturnType<typeof openRelay>>["counts"]>>[number];

function randomKey(): Uint8Array<ArrayBuffer> {
  return crypto.getRandomValues(new Uint8Array(32));
}
