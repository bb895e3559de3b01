import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { clockOf } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { eventually, within } from "../../testing/waiting.ts";
import { Systemctl } from "./systemctl.ts";

/** A program in systemctl's place: notes what it is asked in `asked`, and waits for `gate` to be gone. */
const SCRIPT = `#!/bin/sh
echo "$@" >> "$0.asked"
while [ -e "$0.gate" ]; do sleep 0.01; done
case $1 in
show)
  while [ "$1" != -- ]; do shift; done; shift
  for unit; do printf 'Id=%s\\nActiveState=inactive\\nMainPID=0\\n\\n' "$unit"; done;;
start) printf 'Failed to start:\\n\\033[31mUnit not found.\\n' >&2; exit 5;;
stop) exit 5;;
esac
`;

class FakeProgram implements Disposable {
  readonly #folder = new TempDirectory();
  readonly path = this.#folder.path("systemctl");

  constructor() {
    Deno.writeTextFileSync(this.path, SCRIPT, { mode: 0o755 });
  }

  close(): void {
    Deno.writeTextFileSync(`${this.path}.gate`, "");
  }

  open(): void {
    Deno.removeSync(`${this.path}.gate`);
  }

  get asked(): string[] {
    try {
      return Deno.readTextFileSync(`${this.path}.asked`).trim().split("\n");
    } catch {
      return [];
    }
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}

Deno.test("whoever asks while systemd is being asked is answered by one program with all others", async () => {
  using program = new FakeProgram();
  const systemctl = new Systemctl({ clock: clockOf(globalThis), program: program.path });
  program.close();
  const first = systemctl.show(["a.service"]);
  await eventually("the first program", () => program.asked.length === 1);
  const others = ["b.service", "c.service", "b.service"].map((unit) => systemctl.showOne(unit));
  const reloads = [systemctl.reload(), systemctl.reload()];
  program.open();
  assertEquals([...(await within("the first", first)).keys()], ["a.service"]);
  assertEquals((await within("the others", Promise.all(others))).map(({ name }) => name), [
    "b.service",
    "c.service",
    "b.service",
  ]);
  await within("the reloads", Promise.all(reloads));
  const shows = program.asked.filter((line) => line.startsWith("show")).map((line) => line.split(" -- ")[1]);
  assertEquals(shows, ["a.service", "b.service c.service"]);
  assertEquals(program.asked.filter((line) => line === "daemon-reload").length, 1);
});

Deno.test("nothing is asked of no units", async () => {
  using program = new FakeProgram();
  const systemctl = new Systemctl({ clock: clockOf(globalThis), program: program.path });
  assertEquals((await systemctl.show([])).size, 0);
  assertEquals(program.asked, []);
});

Deno.test("what systemd refuses is told in its own words, but for the end of what has ended", async () => {
  using program = new FakeProgram();
  const systemctl = new Systemctl({ clock: clockOf(globalThis), program: program.path });
  const error = await assertRejects(() => systemctl.start("a.service"), CulvertError);
  assertEquals(error.message, "Cannot run systemctl start: it ended with 5: Failed to start: [31mUnit not found.");
  await systemctl.stop("a.service");
});

Deno.test("a systemd that does not answer is waited for twenty seconds, and the next is asked anew", async () => {
  using program = new FakeProgram();
  const clock = new FakeClock();
  const systemctl = new Systemctl({ clock, program: program.path });
  program.close();
  const late = assertRejects(() => systemctl.showOne("a.service"), CulvertError);
  await eventually("the program", () => program.asked.length === 1);
  clock.advance(20_000);
  assertStringIncludes((await within("its end", late)).message, "20000 ms");
  program.open();
  assertEquals((await within("the next", systemctl.showOne("a.service"))).active, "inactive");
});
