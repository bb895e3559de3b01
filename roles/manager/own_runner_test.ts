import { OwnRunnerWorld } from "./fixtures/own_runner_world.ts";
import { testRunnerContract } from "./fixtures/runner_contract.ts";

testRunnerContract("own runner", { setUp: () => OwnRunnerWorld.open() });
