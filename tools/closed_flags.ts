/** How Deno runs bundled code, wherever it is: by flags alone. */

import deno from "../deno.json" with { type: "json" };

/** Nothing is looked for in the folders around or in whatever folder it is started in, and nothing is ever fetched. */
export function closedFlags(): string[] {
  const unstable = deno.unstable.map((feature) => `--unstable-${feature}`);
  return ["--no-config", "--no-lock", "--no-remote", "--no-npm", ...unstable];
}
