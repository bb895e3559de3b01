/** The Worker in which the relay's engine runs, started by `relay.ts`. */

import { runEngine } from "../engine_loop.ts";
import { RelayEngine } from "./engine.ts";
import type { RelayTalk } from "./relay_messages.ts";

runEngine<RelayTalk>((options, { wakeFd, log, tell }) =>
  new RelayEngine({ ...options, wakeFd, log, onLearned: (sessionId, side, at) => tell({ sessionId, side, at }) })
);
