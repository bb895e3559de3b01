/**
 * What a node under test is asked to dial: one port of this machine whose connections say what they want in their first
 * byte, and a UDP echo on a port of the same number. On node:net, since Deno's own sockets cannot be reset.
 *
 *   e  echoes the rest, and ends when that ends        f  sends without end        r  cuts the connection
 */

import { createServer, type Server, type Socket } from "node:net";
import { Changes } from "../../testing/waiting.ts";

const FLOOD_BYTES = new Uint8Array(64 * 1024);

export class ConformanceTarget implements AsyncDisposable {
  readonly port: number;
  readonly changes = new Changes();
  readonly #server: Server;
  readonly #udp: Deno.DatagramConn;
  readonly #sockets = new Set<Socket>();
  readonly #echoing: Promise<void>;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
    this.#udp = Deno.listenDatagram({ hostname: "127.0.0.1", port, transport: "udp" });
    this.#echoing = this.#echoDatagrams();
    server.on("connection", (socket: Socket) => this.#take(socket));
  }

  static async start(): Promise<ConformanceTarget> {
    const server = createServer({ allowHalfOpen: true });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new ConformanceTarget(server, (server.address() as { readonly port: number }).port);
  }

  /** Connections that are open. */
  get open(): number {
    return this.#sockets.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#udp.close();
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    await this.#echoing;
  }

  #take(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => {}); // the node has cut it; "close" follows
    socket.on("close", () => {
      this.#sockets.delete(socket);
      this.changes.tell();
    });
    socket.once("data", (first: Uint8Array) => {
      const wish = String.fromCharCode(first[0]!);
      if (wish === "r") return socket.resetAndDestroy();
      if (wish === "f") return flood(socket);
      socket.write(first.subarray(1));
      socket.pipe(socket);
    });
    // The node ended it before it wished for anything.
    socket.on("end", () => socket.end());
  }

  async #echoDatagrams(): Promise<void> {
    try {
      for await (const [datagram, from] of this.#udp) await this.#udp.send(datagram, from);
    } catch {
      // The socket was closed.
    }
  }
}

/** Until the node ends its half, or cuts it. */
function flood(socket: Socket): void {
  const pour = () => {
    while (socket.writable && socket.write(FLOOD_BYTES));
  };
  socket.on("drain", pour);
  socket.on("end", () => socket.destroy());
  socket.resume();
  pour();
}
