/** The Worker in which the engine of a device of our own runs, started by `userspace.ts`. */

import { clockOf } from "../../protocol/clock.ts";
import { runEngine } from "../engine_loop.ts";
import { Engine } from "./engine.ts";
import type { DeviceTalk } from "./engine_messages.ts";

runEngine<DeviceTalk>((options, { wakeFd, log }) =>
  Engine.open({ ...options, wakeFd, log, clock: clockOf(globalThis) })
);
