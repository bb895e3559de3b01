/**
 * The test kit: time, chance, networks and hostile input for tests of Culvert and of what is built on it.
 *
 * ```ts
 * const clock = new FakeClock();
 * const network = new MemoryNetwork({ clock, random: new SeededRandom(1), conditions: { latencyMs: 40, loss: 0.01 } });
 * ```
 *
 * @module
 */

export * from "./delay_relay.ts";
export * from "./eager_clock.ts";
export * from "./fake_clock.ts";
export * from "./fuzz.ts";
export * from "./log_collector.ts";
export * from "./memory_datagrams.ts";
export * from "./memory_path.ts";
export * from "./nat_kinds.ts";
export * from "./netns.ts";
export * from "./network.ts";
export * from "./packet_carrier_contract.ts";
export * from "./packet_line.ts";
export * from "./packet_shaper.ts";
export * from "./path_contract.ts";
export * from "./requirements.ts";
export * from "./seeded_random.ts";
export * from "./silent_relay.ts";
export * from "./stream_contract.ts";
export * from "./waiting.ts";
export * from "./wire.ts";
