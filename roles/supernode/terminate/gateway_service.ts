/**
 * Answers the probes of terminated clients at the supernode's addresses in their tunnel, as an exit does at its own: yes,
 * when what the client sends gets out of its exit.
 */

import { formatIp, type IpAddress, parseIp } from "../../../protocol/ip.ts";
import { encodeGateway, GATEWAY_PORT, parseGateway } from "../../../protocol/packets/gateway.ts";

export type IsServed = (client: IpAddress) => boolean;

/** Until it is disposed. Throws where one of the addresses is not this machine's. */
export function serveGateway(gateways: readonly IpAddress[], isServed: IsServed): AsyncDisposable {
  using opened = new DisposableStack();
  const sockets = gateways.map((gateway) => {
    const socket = Deno.listenDatagram({ transport: "udp", hostname: formatIp(gateway), port: GATEWAY_PORT });
    opened.defer(() => socket.close());
    return socket;
  });
  const closing = opened.move();
  const serving = sockets.map((socket) => serve(socket, isServed));
  return {
    async [Symbol.asyncDispose]() {
      closing.dispose();
      await Promise.all(serving);
    },
  };
}

/** Until the socket is closed. */
async function serve(socket: Deno.DatagramConn, isServed: IsServed): Promise<void> {
  for await (const [bytes, from] of socket) {
    const message = parseGateway(bytes);
    const client = from.transport === "udp" ? parseIp(from.hostname) : undefined;
    if (message?.type !== "probe" || !client) continue;
    const answer = encodeGateway({ type: "probe.answer", id: message.id, ok: isServed(client) });
    // One that cannot be sent is asked for again.
    await socket.send(answer, from).catch(() => {});
  }
}
