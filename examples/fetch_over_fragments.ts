/**
 * A request whose pieces no relay can put together: split over upstreams, made by a central, answered over downstreams.
 * Whoever is in between sees neither what is asked nor what is answered, nor by which name the others know the session.
 *
 * Run: `deno task up --plan examples/personal.toml`, then
 *      `deno run -A examples/fetch_over_fragments.ts fragments+http://BASE/ https://example.org/`
 */

import { clockOf, createFragmentFetch, noMetrics, openFragments, randomOf, silentLog } from "../mod.ts";

const [path = "", url = "http://hello.culvert/"] = Deno.args;
const host = { clock: clockOf(globalThis), random: randomOf(crypto), log: silentLog, metrics: noMetrics };
using fragments = openFragments(path, host);
const fetch = createFragmentFetch(fragments);

const response = await fetch(url);
console.log(response.status, response.headers.get("content-type"));
console.log(await response.text());
