import { DialError } from "../protocol/errors.ts";
import { type DialOptions, formatTarget, type Path, type Stream, type Target, writeAll } from "../protocol/stream.ts";
import { testPathContract } from "./path_contract.ts";

testPathContract("a plain path over Deno's TCP", {
  has: ["refusing"],
  // deno-lint-ignore require-await -- the interface is asynchronous
  async setUp() {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const serving = serveEcho(listener);
    return {
      path: new PlainPath(),
      echo: targetOf(listener),
      refusing: unusedTarget(),
      async [Symbol.asyncDispose]() {
        listener.close();
        await serving;
      },
    };
  },
});

/** The least that is a Path; the real one, with its policy, is in `net/`. */
class PlainPath implements Path {
  readonly #open = new Set<Deno.TcpConn>();
  #isClosed = false;

  async dial(target: Target, { signal }: DialOptions = {}): Promise<Stream> {
    signal?.throwIfAborted();
    if (this.#isClosed) throw new DialError("path_down", "The path is closed");
    try {
      const connection = await Deno.connect({ hostname: target.host, port: target.port, ...signal && { signal } });
      this.#open.add(connection);
      return connection;
    } catch (cause) {
      const code = cause instanceof Deno.errors.ConnectionRefused ? "refused" : "failed";
      throw new DialError(code, `Cannot dial ${formatTarget(target)}`, { cause });
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const connection of this.#open) connection[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

async function serveEcho(listener: Deno.TcpListener): Promise<void> {
  const echoes: Promise<void>[] = [];
  for await (const connection of listener) echoes.push(echo(connection).catch(() => {}));
  await Promise.all(echoes);
}

async function echo(connection: Deno.TcpConn): Promise<void> {
  using _connection = connection;
  const buffer = new Uint8Array(4096);
  for (let count = await connection.read(buffer); count !== null; count = await connection.read(buffer)) {
    await writeAll(connection, buffer.subarray(0, count));
  }
}

/** A port that was free a moment ago. */
function unusedTarget(): Target {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return targetOf(listener);
}

function targetOf(listener: Deno.TcpListener): Target {
  const { hostname, port } = listener.addr as Deno.NetAddr;
  return { host: hostname, port };
}
