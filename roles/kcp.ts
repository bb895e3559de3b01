/**
 * `deno run -A roles/kcp.ts server | client | invite | …`: the roles whose names begin with `kcp-`, by themselves.
 */

import { main } from "./main.ts";

if (import.meta.main) Deno.exit(await main(["kcp", ...Deno.args]));
