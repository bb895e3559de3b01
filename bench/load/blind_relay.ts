/**
 * Our blind relay and nothing else, for benchmarks and for tests with devices in namespaces. It does what the lines of its
 * standard input say and answers each with a line of JSON:
 *
 *   open CLIENT_KEY EXIT_KEY     a session between these public keys (base64)         {"port": 40123}
 *   fill N                       so many more, whose sides are known but silent       {"sessions": 5000}
 *   clear                        ends those                                           {"sessions": 0}
 *   counts                       what the first session has carried                   {"toExitBytes": …}
 */

import { openRelay } from "../../native/relay/relay.ts";

export async function serveBlindRelay(lines: AsyncIterable<string>, print: (line: unknown) => void): Promise<void> {
  await using relay = await openRelay({ firstPort: 0, lastPort: 0 });
  const filled: string[] = [];
  const fill = async () => {
    const sessionId = crypto.randomUUID();
    const [clientKey, exitKey] = [randomBytes(32), randomBytes(32)];
    const [clientAt, exitAt] = [{ address: randomBytes(4), port: 1000 }, { address: randomBytes(16), port: 1000 }];
    await relay.open({ sessionId, clientKey, exitKey, clientAt, exitAt });
    filled.push(sessionId);
  };
  print({ ready: true });
  for await (const line of lines) {
    const [what, ...words] = line.split(" ");
    if (what === "open") {
      const [clientKey, exitKey] = words.map((word) => Uint8Array.fromBase64(word));
      const sessionId = crypto.randomUUID();
      print({ port: await relay.open({ sessionId, clientKey: clientKey!, exitKey: exitKey! }) });
    } else if (what === "fill") {
      for (let count = Number(words[0]); count > 0; count--) await fill();
      print({ sessions: filled.length });
    } else if (what === "clear") {
      for (const sessionId of filled.splice(0)) await relay.end(sessionId);
      print({ sessions: 0 });
    } else if (what === "counts") {
      const [{ port, toExitBytes, toClientBytes, droppedDatagrams }] = await relay.counts() as [Counts];
      print({ port, toExitBytes, toClientBytes, droppedDatagrams });
    }
  }
}

type Counts = Awaited<ReturnType<Awaited<ReturnType<typeof openRelay>>["counts"]>>[number];

function randomBytes(count: number): Uint8Array<ArrayBuffer> {
  return crypto.getRandomValues(new Uint8Array(count));
}
