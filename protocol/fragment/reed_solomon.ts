/**
 * The erasure code of fragments: Reed–Solomon as `protocol/reed_solomon/` makes it, under the name the fragments use.
 */

export { openReedSolomon, type ReedSolomon, type ReedSolomonFactory, type ShardMemory } from "../reed_solomon.ts";
