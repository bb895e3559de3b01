import { assert, assertEquals } from "@std/assert";
import { openApiOf } from "../openapi.ts";
import { openApiPage } from "../openapi_page.ts";
import * as api from "./api.ts";

const document = openApiOf(api.orchestratorApi("0.1.0"));

Deno.test("every operation of the orchestrator has a name and a place of its own", () => {
  const operations = api.orchestratorOperations();
  assert(operations.length > 40);
  assertEquals(new Set(operations.map(({ id }) => id)).size, operations.length);
  assertEquals(new Set(operations.map(({ method, path }) => `${method} ${path}`)).size, operations.length);
  assertEquals(
    Object.values(document.paths).flatMap(Object.keys).length,
    operations.length + api.machineOperations().length,
  );
});

Deno.test("what changes something names who may, but for logging in", () => {
  const open = api.orchestratorOperations().filter(({ method, role }) => method === "post" && role === undefined);
  assertEquals(open.map(({ id }) => id).sort(), [
    "logIn",
    "logInByTelegram",
    "logOut",
    "openAccount",
    "refreshSession",
  ]);
});

Deno.test("the document says who may ask, and refers only to what is in it", () => {
  assertEquals(document.paths["/v1/admin/users"]?.get?.security, [{ bearer: ["admin"] }]);
  const references = JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g);
  for (const [, name] of references) assert(name! in document.components.schemas, `${name} is not described`);
});

Deno.test("the page explains tokens and says nothing of signatures, which nobody is asked for", async () => {
  const page = await openApiPage(document, { document: "/openapi.json", style: "/api.css" });
  assert(page.includes('<section id="bearer">'));
  assert(!page.includes('<section id="signature">'));
});

Deno.test("an amount is above nothing, and no finer than a millionth", () => {
  for (const amount of ["1", "0.5", "0.000001", "999999999.999999"]) {
    assert(api.amountSchema.safeParse(amount).success, amount);
  }
  for (const amount of ["0", "0.0", "-1", "1e3", "", ".5", "1.", "0.0000001", "1000000000", " 1", "1\n"]) {
    assert(!api.amountSchema.safeParse(amount).success, amount);
  }
});
