/** The Worker in which the packet relay's engine runs, started by `relay_packets.ts`. */

import { runEngine } from "../engine_loop.ts";
import { PacketRelayEngine } from "./engine.ts";
import type { PacketRelayTalk } from "./messages.ts";

runEngine<PacketRelayTalk>((options, { wakeFd, log }) => new PacketRelayEngine({ ...options, wakeFd, log }));
