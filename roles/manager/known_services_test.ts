import { assertEquals } from "@std/assert";
import { parseUnitStates } from "../../protocol/manager/unit_state.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { knownWithoutManager, showKnown } from "./known_services.ts";

function makeFolder(): TempDirectory {
  const temp = new TempDirectory();
  for (const file of ["paqet.toml", "kcp.toml", "kcp.toml.kept", "README"]) Deno.writeTextFileSync(temp.path(file), "");
  return temp;
}

/** systemd, of which kcp runs. */
const systemd = {
  show(units: readonly string[]) {
    const text = units.map((unit) => `Id=${unit}\nMainPID=${unit.includes("kcp") ? 812 : 0}\n`).join("\n");
    return Promise.resolve(new Map(parseUnitStates(text).map((state) => [state.name, state])));
  },
};

function linesOf(known: Parameters<typeof showKnown>[0]): string[] {
  const lines: string[] = [];
  showKnown(known, { json: false, print: (line) => void lines.push(line) });
  return lines;
}

Deno.test("without a manager systemd says which of its units run", async () => {
  using temp = makeFolder();
  const places = { services: temp.path(""), run: temp.path("run"), backend: "systemd" } as const;
  assertEquals(linesOf(await knownWithoutManager(places, systemd)), [
    "kcp    runs, pid 812, watched by nobody",
    "paqet  does not run",
  ]);
});

Deno.test("where systemd does not answer nobody says that its units do not run", async () => {
  using temp = makeFolder();
  const places = { services: temp.path(""), run: temp.path("run"), backend: "systemd" } as const;
  const silent = { show: () => Promise.reject(new Error("no bus")) };
  assertEquals(linesOf(await knownWithoutManager(places, silent)), [
    "kcp    may run or not: no bus",
    "paqet  may run or not: no bus",
  ]);
});

Deno.test("without a manager and systemd there are pid files, and no folder means no services", async () => {
  using temp = makeFolder();
  const places = { services: temp.path(""), run: temp.path("run"), backend: "own" } as const;
  assertEquals(await knownWithoutManager(places, systemd), [{ name: "kcp" }, { name: "paqet" }]);
  assertEquals(await knownWithoutManager({ ...places, services: temp.path("gone") }, systemd), []);
});
