/** Every story that has something to tell (`story.ts`); a document without one is run as it stands. */

import * as administration from "./stories/administration.ts";
import * as files from "./stories/files.ts";
import * as network from "./stories/network.ts";
import * as readme from "./stories/readme.ts";
import * as sharing from "./stories/sharing.ts";
import * as small from "./stories/small.ts";
import * as transports from "./stories/transports.ts";
import type { Story } from "./story.ts";

export const stories: readonly Story[] = [administration, files, network, readme, sharing, small, transports]
  .flatMap((chapter): Story[] => Object.values(chapter));
