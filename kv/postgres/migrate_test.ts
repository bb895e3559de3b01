import { assertEquals, assertRejects } from "@std/assert";
import { CulvertError } from "../../protocol/errors.ts";
import { postgresForTests } from "./fixtures/test_database.ts";
import { migrate } from "./migrate.ts";

const postgres = postgresForTests();

const first = { name: "test_1", statements: "CREATE TABLE one (id int); INSERT INTO one VALUES (1)" };
const second = { name: "test_2", statements: "ALTER TABLE one ADD COLUMN name text" };

postgres.test("each step is taken once, and a new one follows", async ({ database, elsewhere }) => {
  assertEquals(await migrate(database, [first]), ["test_1"]);
  assertEquals(await migrate(elsewhere, [first]), []);
  assertEquals(await migrate(elsewhere, [first, second]), ["test_2"]);
  assertEquals([...await database.sql`SELECT * FROM one`], [{ id: 1, name: null }]);
});

postgres.test("of processes that start at once one takes the steps", async ({ database, elsewhere }) => {
  const runs = [database, elsewhere, database, elsewhere].map((each) => migrate(each, [first, second]));
  assertEquals((await Promise.all(runs)).flat(), ["test_1", "test_2"]);
});

postgres.test("a step that fails leaves nothing of any behind, and says which", async ({ database }) => {
  const broken = { name: "test_2", statements: "CREATE TABLE two (id int); ALTER TABLE nowhere ADD COLUMN x int" };
  const says = 'Cannot bring the database up to date: test_2 failed: relation "nowhere" does not exist';
  await assertRejects(() => migrate(database, [first, broken]), CulvertError, says);
  const { sql } = database;
  assertEquals([...await sql`SELECT to_regclass('one') AS one, to_regclass('two') AS two`], [{ one: null, two: null }]);
  assertEquals(await migrate(database, [first, second]), ["test_1", "test_2"]);
});

postgres.test("a database of another version is refused", async ({ database }) => {
  await migrate(database, [first, second]);
  const newer = await assertRejects(
    () => migrate(database, [first]),
    CulvertError,
    "test_2, which this version does not",
  );
  assertEquals(newer.code, "store_other_version");
  const changed = { ...second, statements: "SELECT 1" };
  await assertRejects(() => migrate(database, [first, changed]), CulvertError, "test_2, which is another here");
});
