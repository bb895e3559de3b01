/**
 * What a client that routes the machine does when it is asked, and what it tells of itself.
 */

import type { ControlStream } from "../../../net/control.ts";
import type { SessionSwitch } from "../../../net/session_switch.ts";
import { formatIp } from "../../../protocol/ip.ts";
import { formatEndpoint } from "../../../protocol/wireguard/endpoint.ts";
import type { RoleContext } from "../../role.ts";
import { serveControl, tunnelSocketPath } from "../control_socket.ts";
import { type ClientStatus, sessionStatus } from "../status.ts";
import type { PacketMode } from "./packet_mode.ts";
import type { TunnelStats } from "./stats.ts";

export interface Offered {
  /** What the two interfaces are called. */
  readonly interfacePrefix: string;
  readonly exits: SessionSwitch;
  readonly mode: PacketMode;
  readonly stats: TunnelStats;
  readonly control: ControlStream;
  readonly context: RoleContext;
  end(): void;
}

export async function offerControl(offered: Offered): Promise<AsyncDisposable> {
  const { interfacePrefix, exits, context: { clock, log }, end } = offered;
  return await serveControl({
    path: await tunnelSocketPath(interfacePrefix),
    clock,
    log,
    deeds: {
      status: () => statusOf(offered),
      async rotate(signal) {
        await exits.replace("asked", signal);
        return await statusOf(offered);
      },
      async down() {
        const status = await statusOf(offered);
        end();
        return status;
      },
    },
  });
}

async function statusOf({ exits, mode, stats, control }: Offered): Promise<ClientStatus> {
  const { present } = mode;
  await stats.refresh();
  const { way, interfaceName } = present ?? {};
  return {
    mode: "tun",
    ...sessionStatus(exits, control),
    locked: mode.isLocked,
    ...present && interfaceName !== undefined && {
      tunnel: {
        interface: interfaceName,
        addresses: present.addresses.map(formatIp),
        dns: present.nameServers.map(formatIp),
        mtu: present.offer.mtu,
        ...way && { way: way.kind, endpoint: formatEndpoint(way.at) },
        ...present.offer.terminatedBy && { terminatedBy: present.offer.terminatedBy.peerId },
        ...stats.handshakeAgeMs !== undefined && { handshakeAgeMs: stats.handshakeAgeMs },
        ...stats.traffic,
      },
    },
  };
}
