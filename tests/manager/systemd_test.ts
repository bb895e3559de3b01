import { testWith } from "../../testing/requirements.ts";
import { SystemdWorld, worldNeeds } from "./fixtures/systemd_world.ts";

const CONTRACT = "tests/manager/fixtures/systemd_contract_suite.ts";
const SUITE = "tests/manager/fixtures/systemd_runner_suite.ts";

// In two halves, since a test has a minute at the most.
for (
  const [half, names] of [["those of one service", "/^units: [ow]/"], ["the others", "/^units: [^ow]/"]]
) {
  testWith(worldNeeds, `units of a real systemd do what every runner's processes must: ${half}`, async () => {
    await using world = await SystemdWorld.open();
    await world.test(CONTRACT, names!);
  });
}

testWith(worldNeeds, "services as units of a real systemd", async () => {
  await using world = await SystemdWorld.open();
  await world.test(SUITE, "runner:");
});

testWith(worldNeeds, "roles say to a real systemd that they are ready and alive", async () => {
  await using world = await SystemdWorld.open();
  await world.test(SUITE, "role:");
});
