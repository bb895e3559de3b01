/**
 * The test kit: time, chance and networks for tests of Culvert and of what is built on it, and the contracts
 * that every `Stream` and every `Path` keeps.
 *
 * ```ts
 * import { FakeClock, MemoryNetwork, SeededRandom } from "./mod.ts";
 *
 * const clock = new FakeClock();
 * const network = new MemoryNetwork({ clock, random: new SeededRandom(1), conditions: { latencyMs: 40, loss: 0.01 } });
 * console.log(network);
 * ```
 *
 * Contracts register their cases with the runner there is: `deno test`, or `node --test`.
 *
 * @module
 */

export * from "./eager_clock.ts";
export * from "./fake_clock.ts";
export * from "./log_collector.ts";
export * from "./memory_datagrams.ts";
export * from "./memory_path.ts";
export * from "./network.ts";
export * from "./path_contract.ts";
export * from "./seeded_random.ts";
export * from "./stream_contract.ts";
export * from "./waiting.ts";
export * from "./wire.ts";
