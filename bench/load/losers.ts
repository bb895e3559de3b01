/**
 * Somebody between the client and each of its relays who loses a share of the fragments, whole ones: legs run over TCP,
 * so packets that are lost there come late, and what is lost for good is lost by relays.
 */

import { CLIENT_HEAD_BYTES, DELIVERY_HEAD_BYTES, MessageKind } from "../../protocol/fragment/messages.ts";
import { formatTarget, type Target } from "../../protocol/stream.ts";
import { type Direction, Meddler } from "../../testing/meddler.ts";

/** Does what its standard input says: `loss 0.05`. */
export async function serveLosers(
  targets: readonly Target[],
  lines: AsyncIterable<string>,
  print: (line: object) => void,
): Promise<void> {
  await using resources = new AsyncDisposableStack();
  let loss = 0;
  const losers = targets.map((target) => resources.use(Meddler.start(target)));
  for (const loser of losers) {
    loser.isRecording = false;
    loser.meddle = (message, direction) => loss === 0 ? [message] : without(message, direction, loss);
  }
  print({ ready: true, addresses: { listen: losers.map(({ address }) => formatTarget(address)).join(",") } });
  for await (const line of lines) {
    loss = Number(line.split(" ")[1]);
    print({ loss });
  }
}

/** The message without some of its fragments; none when all are lost. */
function without(message: Uint8Array, direction: Direction, loss: number): Uint8Array[] {
  if (message[0] !== MessageKind.DATA) return [message];
  const view = new DataView(message.buffer, message.byteOffset, message.length);
  const headBytes = direction === "to_server" ? CLIENT_HEAD_BYTES : DELIVERY_HEAD_BYTES;
  let kept = headBytes;
  for (let at = kept; at + 2 <= message.length;) {
    const end = at + 2 + view.getUint16(at);
    if (Math.random() >= loss) {
      message.copyWithin(kept, at, end);
      kept += end - at;
    }
    at = end;
  }
  return kept > headBytes ? [message.subarray(0, kept)] : [];
}
