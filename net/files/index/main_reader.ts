/** The Worker in which a shared folder is read, started by `reader_worker.ts`. */

import { clockOf } from "../../../protocol/clock.ts";
import { hostPrimitives } from "../../host_primitives.ts";
import { LocalReader } from "./local_reader.ts";
import type { FromReader, ToReader } from "./reader_messages.ts";

const port = self as unknown as {
  onmessage: ((event: MessageEvent<ToReader>) => void) | null;
  postMessage(message: FromReader): void;
};

let reader: LocalReader | undefined;
/** Who waits until the other side has taken what it was told: were all of it sent at once, it could do nothing else meanwhile. */
const waiting = new Map<number, () => void>();

port.onmessage = ({ data }) => {
  if (data.type === "open") reader = openReader(data);
  else if (data.type === "taken") waiting.get(data.id)?.();
  else if (reader) void obey(reader, data);
};

function openReader({ settings, restShare }: Extract<ToReader, { type: "open" }>): LocalReader {
  return new LocalReader({ ...settings, restShare, clock: clockOf(globalThis), sha256: hostPrimitives().sha256 });
}

async function obey(reader: LocalReader, asked: Exclude<ToReader, { type: "open" | "taken" }>): Promise<void> {
  if (asked.type === "watch") {
    return reader.watch({
      changed: (paths) => port.postMessage({ type: "changed", paths }),
      overflowed: () => port.postMessage({ type: "overflowed" }),
      lost: (reason) => port.postMessage({ type: "lost", reason }),
    });
  }
  const { id } = asked;
  if (asked.type === "look") {
    await reader.look(asked.paths, (files) => {
      port.postMessage({ type: "seen", id, files });
      return new Promise((resolve) => waiting.set(id, resolve));
    });
    waiting.delete(id);
  } else {
    await reader.read(asked.files, (file, tree) => port.postMessage({ type: "tree", id, file, tree }));
  }
  port.postMessage({ type: "done", id });
}
