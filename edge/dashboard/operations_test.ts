import { assert, assertEquals } from "@std/assert";
import { openApiOf } from "../openapi.ts";
import { TestDashboard } from "./fixtures/dashboard.ts";
import { dashboardApi, dashboardOperations } from "./operations.ts";

const document = openApiOf(dashboardApi("0.1.0"));

Deno.test("all but logging in takes a session, and the document says so", () => {
  const open = dashboardOperations().filter(({ role }) => role === undefined);
  assertEquals(open.map(({ id }) => id), ["logIn"]);
  assertEquals(document.paths["/api/dashboard/deeds"]?.post?.security, [{ bearer: ["administrator"] }]);
});

Deno.test("the document refers only to what is in it", () => {
  const references = JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g);
  for (const [, name] of references) assert(name! in document.components.schemas, `${name} is not described`);
});

Deno.test("the document and its page are served without a session, and the page needs nothing from elsewhere", async () => {
  using dashboard = new TestDashboard();
  const { body } = await dashboard.ask("/api/openapi.json");
  assertEquals(body, JSON.parse(JSON.stringify(document)));
  const page = await dashboard.fetch("/api");
  const html = await page.text();
  assert(html.includes("POST") && html.includes("/api/dashboard/deeds") && html.includes('href="/api/style.css"'));
  assert(page.headers.get("content-security-policy")!.startsWith("default-src 'none'; style-src 'self'"));
  assertEquals((await dashboard.fetch("/api/style.css")).headers.get("content-type"), "text/css");
});
