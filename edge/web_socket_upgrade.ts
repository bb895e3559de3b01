/**
 * A channel made of a request by `Deno.upgradeWebSocket`: for apps that `Deno.serve`, `deno serve` or Deno Deploy serves.
 */

import type { Clock } from "../protocol/clock.ts";
import type { ChannelBounds, MessageChannel } from "../protocol/message_channel.ts";
import { SocketChannel } from "./socket_channel.ts";

/** Only at a request that asks for a WebSocket; the response is to be given back to the runtime. */
export function webSocketUpgrade(
  clock: Pick<Clock, "after">,
): (request: Request, bounds: ChannelBounds) => { readonly response: Response; readonly channel: MessageChannel } {
  return (request, bounds) => {
    const { response, socket } = Deno.upgradeWebSocket(request);
    return { response, channel: new SocketChannel(socket, clock, bounds) };
  };
}
