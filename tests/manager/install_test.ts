import { assert, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { testWith } from "../../testing/requirements.ts";
import { SystemdWorld, worldNeeds } from "./fixtures/systemd_world.ts";

const SCRIPT = fromFileUrl(import.meta.resolve("./fixtures/install_in_systemd.sh"));

testWith(
  worldNeeds,
  "under a real systemd a service is installed as a unit, with the manager, and both go again",
  async () => {
    await using world = await SystemdWorld.open();
    await Deno.copyFile(SCRIPT, world.path("install.sh"));
    const { out } = await world.run(["bash", "/run/world/install.sh"]);
    const lines = [
      "installed\n",
      "manager active, service active",
      "as nobody",
      "looks after 1 service, by systemd",
      "ok    out: its program, user and ports are as they should be",
      "/etc/systemd/system/culvert-out.service was edited by hand",
      "Keep /etc/systemd/system/culvert-out.service, which was edited by hand",
      "The manager is uninstalled",
      "uninstalled\n",
      "then inactive, inactive",
      "\nculvert-out.service\n",
    ];
    for (const line of lines) assertStringIncludes(out, line);
    assert(!out.includes("\nculvert-manager.service\n"));
  },
);
