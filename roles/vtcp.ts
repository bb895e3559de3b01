/**
 * `deno run -A roles/vtcp.ts server | client`: the roles whose names begin with `vtcp-`, by themselves.
 */

import { main } from "./main.ts";

if (import.meta.main) Deno.exit(await main(["vtcp", ...Deno.args]));
