import { assert, assertEquals } from "@std/assert";
import { plainService } from "../../protocol/manager/fixtures/plain_service.ts";
import { isEdited } from "../../protocol/manager/unit_text.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { UnitFiles } from "./unit_files.ts";

const service = plainService("kcp", ["/bin/kcp"], { environment: { CULVERT_KEY: "s3cret" } });

function rig() {
  const folder = new TempDirectory();
  const files = new UnitFiles({ units: folder.path(""), run: folder.path("run") });
  const list = () => [...Deno.readDirSync(folder.path(""))].map(({ name }) => name).toSorted();
  return { folder, files, list };
}

Deno.test("a unit is written once, anew when its service changes, and goes with it", async () => {
  const { folder, files, list } = rig();
  using _folder = folder;
  assertEquals(await files.originOf("kcp"), "absent");
  assertEquals([await files.write(service), await files.write(service)], [true, false]);
  assertEquals(await files.originOf("kcp"), "ours");
  assertEquals(Deno.readTextFileSync(files.pathOf("kcp")), files.unitOf(service).text);
  assertEquals(Deno.statSync(files.pathOf("kcp")).mode! & 0o777, 0o644);
  assert(await files.write({ ...service, description: "Another" }));
  assertEquals([await files.remove(service), await files.remove(service)], [true, false]);
  assertEquals(list(), ["run"]);
  assertEquals([...Deno.readDirSync(folder.path("run"))], []);
});

Deno.test("the environment is for systemd alone, and no longer there than it is needed", async () => {
  const { folder, files } = rig();
  using _folder = folder;
  const path = folder.path("run/kcp.env");
  const before = Deno.umask(0);
  try {
    await files.write(service);
  } finally {
    Deno.umask(before);
  }
  assertEquals([Deno.readTextFileSync(path), Deno.statSync(path).mode! & 0o777], ['CULVERT_KEY="s3cret"\n', 0o600]);
  // Only what systemd has to read again counts.
  assertEquals(await files.write({ ...service, environment: { CULVERT_KEY: "other" } }), false);
  assertEquals(Deno.readTextFileSync(path), 'CULVERT_KEY="other"\n');
  await files.write({ ...service, environment: {} });
  assertEquals([...Deno.readDirSync(folder.path("run"))], []);
});

Deno.test("what somebody has edited, or made, is kept", async () => {
  const { folder, files } = rig();
  using _folder = folder;
  await files.write(service);
  const texts = [
    files.unitOf(service).text.replace("Restart=no", "Restart=always"),
    "[Service]\nExecStart=/bin/true\n",
  ];
  for (const text of texts) {
    assert(isEdited(text));
    Deno.writeTextFileSync(files.pathOf("kcp"), text);
    assertEquals(await files.originOf("kcp"), "edited");
    assertEquals(await files.write({ ...service, description: "Another" }), false);
    assertEquals(await files.remove(service), false);
    assertEquals(Deno.readTextFileSync(files.pathOf("kcp")), text);
  }
});

Deno.test("what a write that was cut off has left does not matter", async () => {
  const { folder, files, list } = rig();
  using _folder = folder;
  Deno.writeTextFileSync(`${files.pathOf("kcp")}.new`, "[Unit");
  assert(await files.write(service));
  assertEquals(list(), ["culvert-kcp.service", "run"]);
});
