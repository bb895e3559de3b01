import { assert, assertEquals } from "@std/assert";
import { registry } from "../roles/registry.ts";
import { permissionFlags, type Permissions, rolePermissions } from "./role_permissions.ts";

Deno.test("every role has its permissions, but the manager's, which start other roles", () => {
  const names = registry.map(({ name }) => name).filter((name) => !/^manager\b/.test(name));
  assertEquals(Object.keys(rolePermissions).sort(), names.sort());
});

Deno.test("the table of every role needs what executables are given", async () => {
  const rows = readNeeds(await Deno.readTextFile(new URL("../docs/roles.md", import.meta.url)));
  assert(rows.length > 15, `There must be a table of roles with what they need, got ${rows.length} rows`);
  // A flag that lets a role reach the kernel is a row of its own; `--allow-all` is for these.
  const [withFlag, roles] = [
    rows.filter(({ role }) => role.includes("--")),
    rows.filter(({ role }) => !role.includes("--")),
  ];
  assertEquals(withFlag.filter(({ needs }) => needs !== "all"), []);
  const expected = roles.map(({ role }) => ({ role, needs: rolePermissions[role] ?? "all" }));
  assertEquals(roles, expected);
});

Deno.test("what is not granted fails and is not asked for", () => {
  assertEquals(permissionFlags(["net", "env"]), ["--allow-net", "--allow-env", "--no-prompt"]);
  assertEquals(permissionFlags("all"), ["--allow-all"]);
});

interface Need {
  readonly role: string;
  readonly needs: Permissions;
}

/** The rows of every table that has a column of roles and one of needs. */
function readNeeds(markdown: string): Need[] {
  let columns: { readonly role: number; readonly needs: number } | undefined;
  return markdown.split("\n").flatMap((line): Need[] => {
    const cells = line.split("|").map((cell) => cell.trim());
    if (!line.startsWith("|")) columns = undefined;
    else if (cells.includes("role")) columns = { role: cells.indexOf("role"), needs: cells.indexOf("needs") };
    else if (columns && !cells.every((cell) => /^[:-]*$/.test(cell))) {
      const needs = permissionsIn(cells[columns.needs]!);
      return [...cells[columns.role]!.matchAll(/`([^`]+)`/g)].map(([, name]) => ({ role: roleNamed(name!), needs }));
    }
    return [];
  });
}

/** As the registry has it: of two words one. */
function roleNamed(words: string): string {
  return words.includes("--") ? words : words.replace(" ", "-");
}

function permissionsIn(cell: string): Permissions {
  if (cell.includes("`-A`")) return "all";
  const words = cell.split(",").map((word) => word.trim()).filter((word) => word !== "");
  return [...words, "env", "sys"] as Permissions;
}
