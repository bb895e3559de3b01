import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { findWorkerModules, workerUrls } from "./worker_modules.ts";

const ROOT = fromFileUrl(new URL("../", import.meta.url));

Deno.test("the modules that Workers begin with are found, and are there", async () => {
  const found = findWorkerModules(ROOT);
  assert(found.includes("roles/up/worker.ts"), `there must be the one of the roles, got ${found}`);
  assert(found.includes("native/wireguard/main_userspace.ts"), `there must be the engine's, got ${found}`);
  for (const module of found) assert((await Deno.stat(`${ROOT}/${module}`)).isFile);
});

Deno.test("every Worker of ours begins with a module that is found so", async () => {
  const grep = new Deno.Command("grep", { cwd: ROOT, args: ["-rlE", "new Worker\\(", "native", "net", "roles"] });
  const files = new TextDecoder().decode((await grep.output()).stdout).trim().split("\n").filter((file) =>
    !/_test\.ts$|fixtures/.test(file)
  );
  // The engine's is named by those who make engines.
  for (const file of files.filter((file) => file !== "native/engine_worker.ts")) {
    const text = await Deno.readTextFile(`${ROOT}/${file}`);
    assertEquals(workerUrls(text).length, 1, file);
  }
});

Deno.test("modules for tests, and what is meant for browsers, are none", () => {
  assertEquals(workerUrls('new URL("./uplot.js", import.meta.url) new URL("../main.ts", import.meta.url)'), []);
});
