import { assertEquals, assertRejects } from "@std/assert";
import { CulvertError } from "../protocol/errors.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { openKv } from "./open.ts";

Deno.test("a path is one store for whoever opens it, and outlives them", async () => {
  using temp = new TempDirectory();
  const path = temp.path("store.db");
  {
    using one = await openKv(path);
    using two = await openKv(path);
    await one.set(["a"], 1);
    assertEquals((await two.get(["a"])).value, 1);
  }
  using later = await openKv(path);
  assertEquals((await later.get(["a"])).value, 1);
});

Deno.test("each store in memory is a new one", async () => {
  using one = await openKv(":memory:");
  using two = await openKv(":memory:");
  await one.set(["a"], 1);
  assertEquals((await two.get(["a"])).value, null);
});

Deno.test("a location that names no store is refused, with the reason", async () => {
  using temp = new TempDirectory();
  await Deno.writeTextFile(temp.path("text"), "This is no database, but longer than the header of one. ".repeat(20));
  const rows: { name: string; location: string; code: string; says: string }[] = [
    { name: "nothing", location: "", code: "invalid_option", says: 'got ""' },
    { name: "plain HTTP", location: "http://kv.example/", code: "invalid_option", says: "must begin with https://" },
    { name: "another scheme", location: "postgres://kv.example/", code: "invalid_option", says: "got postgres://" },
    { name: "no URL", location: "https://", code: "invalid_option", says: "got https://" },
    { name: "no folder", location: temp.path("no/store.db"), code: "store_failed", says: "unable to open" },
    { name: "a folder", location: temp.path("."), code: "store_failed", says: "unable to open" },
    { name: "another file", location: temp.path("text"), code: "store_failed", says: "not a database" },
  ];
  for (const { name, location, code, says } of rows) {
    const error = await assertRejects(() => openKv(location), CulvertError, says, name);
    assertEquals(error.code, code, name);
  }
});
