/** Every story that has something to tell (`story.ts`); a document without one is run as it stands. */

import { network } from "./stories/network.ts";
import * as small from "./stories/small.ts";
import { transports } from "./stories/transports.ts";
import type { Story } from "./story.ts";

export const stories: readonly Story[] = [network, transports, ...Object.values(small)];
