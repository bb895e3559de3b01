import { testWith } from "../../testing/requirements.ts";
import { SystemdWorld, worldNeeds } from "./fixtures/systemd_world.ts";

const SUITE = "tests/manager/fixtures/systemd_runner_suite.ts";

testWith(worldNeeds, "services as units of a real systemd", async () => {
  await using world = await SystemdWorld.open();
  await world.test(SUITE, "runner:");
});

testWith(worldNeeds, "roles say to a real systemd that they are ready and alive", async () => {
  await using world = await SystemdWorld.open();
  await world.test(SUITE, "role:");
});
