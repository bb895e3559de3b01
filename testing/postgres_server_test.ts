import { assert, assertEquals, assertRejects } from "@std/assert";
import { POSTGRES_NEEDS, PostgresServer } from "./postgres_server.ts";
import { testWith } from "./requirements.ts";

testWith(
  POSTGRES_NEEDS,
  "a PostgreSQL server keeps its data over a stop and a crash, and is gone when disposed",
  async () => {
    let folder: string;
    {
      await using server = await PostgresServer.start();
      folder = server.socketFolder;
      const url = await server.createDatabase();
      await server.query("CREATE TABLE kept (value text)", url);
      await server.query("INSERT INTO kept VALUES ('one')", url);
      await server.stop();
      await assertRejects(() => server.query("SELECT 1"), Error, "Connection refused");
      await server.resume();
      await server.query("INSERT INTO kept VALUES ('two')", url);
      await server.crash();
      await server.resume();
      assertEquals(await server.query("SELECT value FROM kept ORDER BY value", url), "one\ntwo");
      const isSuperuser = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user";
      assertEquals(await server.query(isSuperuser, url), "f");
      assertEquals(await server.query(isSuperuser, server.superuserUrlOf(url)), "t");
      assert(await server.createDatabase() !== url);
    }
    await assertRejects(() => Deno.stat(folder), Deno.errors.NotFound);
  },
);
