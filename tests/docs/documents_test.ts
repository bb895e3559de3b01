/**
 * Every command of every document is run (`story.ts`), a few documents at a time.
 */

import { requires, withNeeds } from "../../testing/requirements.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { played } from "./documents.ts";
import { play } from "./play.ts";
import { copyDenoCache } from "./scene/shared.ts";

/** Of the cores that there are; a story waits more than it works. */
const AT_A_TIME = 3;
/** Two minutes where nothing else runs. */
const TIME_LIMIT_MS = 900_000;
const NEEDS = {
  netns: true,
  tools: ["curl", "openssl", "setpriv", "unshare", "script", "wg", "nft", "initdb", "redis-server"],
};
/** For whoever works on one: `DOCS=docs/network.md deno test …`. */
const only = Deno.env.get("DOCS");

async function playAll(): Promise<void> {
  using folder = new TempDirectory();
  const denoCache = folder.path("deno");
  await copyDenoCache(denoCache);
  const waiting = played().filter(({ story }) => !only || story.document === only);
  const failures: string[] = [];
  await Promise.all(Array.from({ length: AT_A_TIME }, async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const { story, commands } = next;
      const startedMs = performance.now();
      await play(story, commands, { denoCache, isTold: only !== undefined })
        .catch((error) => failures.push(`${story.document}: ${error.message}`));
      console.log(`${story.document}: ${commands.length} commands, ${Math.round(performance.now() - startedMs)} ms`);
    }
  }));
  if (failures.length > 0) throw new Error(`Documents that do not say what happens:\n\n${failures.join("\n\n")}`);
}

const name = "every command of the documents does what they say";
Deno.test({ ...withNeeds(requires(NEEDS), name, playAll), timeout: TIME_LIMIT_MS });
