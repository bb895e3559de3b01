/**
 * What a process of ours really holds: its heap and the buffers behind it after what is of no use was collected, asked for
 * by V8's inspector (`deno run --inspect`). Resident memory counts besides whatever the collector has not come to yet,
 * which is many times what a session holds.
 */

interface Answer {
  readonly id: number;
  readonly result: { readonly usedSize?: number; readonly backingStorageSize?: number };
}

/** One collection leaves what waits for a finalizer. */
const COLLECTIONS = 3;

/** KiB held by the process whose inspector listens at that port of this machine. */
export async function heldKib(inspectorPort: number): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${inspectorPort}/json`);
  const [{ webSocketDebuggerUrl }] = await response.json();
  await using inspector = await Inspector.open(webSocketDebuggerUrl);
  await inspector.call("HeapProfiler.enable");
  for (let turn = 0; turn < COLLECTIONS; turn++) await inspector.call("HeapProfiler.collectGarbage");
  const { usedSize = 0, backingStorageSize = 0 } = await inspector.call("Runtime.getHeapUsage");
  return (usedSize + backingStorageSize) / 1024;
}

class Inspector implements AsyncDisposable {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, (result: Answer["result"]) => void>();
  #lastId = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.onmessage = ({ data }) => {
      const { id, result }: Answer = JSON.parse(data);
      this.#waiting.get(id)?.(result);
    };
  }

  static async open(url: string): Promise<Inspector> {
    const socket = new WebSocket(url);
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = () => reject(new Error(`Cannot inspect a process: nothing answers at ${url}`));
    });
    return new Inspector(socket);
  }

  call(method: string): Promise<Answer["result"]> {
    const id = ++this.#lastId;
    this.#socket.send(JSON.stringify({ id, method }));
    return new Promise((resolve) => this.#waiting.set(id, resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#socket.onclose = resolve);
    this.#socket.close();
    await closed;
  }
}
