/**
 * The erasure code of fragments: Reed–Solomon as `protocol/reed_solomon/` makes it, under the name the fragments use.
 */

export type { ReedSolomon, ReedSolomonFactory, ShardMemory } from "../reed_solomon/code.ts";
