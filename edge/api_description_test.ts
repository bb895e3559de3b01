import { assertEquals } from "@std/assert";
import { Hono } from "hono";
import { serveDescription } from "./api_description.ts";
import { healthApi } from "./health_api.ts";
import { openApiOf } from "./openapi.ts";

Deno.test("document and page are made once, when they are first asked for, and kept as text", async () => {
  let described = 0;
  let looks = 0;
  const app = new Hono();
  serveDescription(app, () => {
    described++;
    const { paths, ...rest } = openApiOf(healthApi("1.2.3"));
    return {
      ...rest,
      get paths() {
        return looks++, paths;
      },
    };
  });
  assertEquals(described, 0);
  const ask = async (path: string) => await (await app.request(path)).text();
  const first = [await ask("/openapi.json"), await ask("/")];
  const made = [described, looks];
  assertEquals(made, [1, 2]);
  for (let times = 0; times < 3; times++) assertEquals([await ask("/openapi.json"), await ask("/")], first);
  assertEquals([described, looks], made);
  assertEquals(JSON.parse(first[0]!), openApiOf(healthApi("1.2.3")));
});
