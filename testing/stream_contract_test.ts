import { memoryStreamPair } from "../net/memory.ts";
import type { MemoryStream } from "../net/memory.ts";
import type { Stream } from "../protocol/stream.ts";
import { testStreamContract } from "./stream_contract.ts";

testStreamContract("memory streams", {
  makePair: () => Promise.resolve(memoryStreamPair()),
  cut: (end) => (end as MemoryStream).abort(),
  largeBytes: 1024 * 1024,
});

testStreamContract("memory streams of 64 bytes", {
  makePair: () => Promise.resolve(memoryStreamPair(64)),
  cut: (end) => (end as MemoryStream).abort(),
  largeBytes: 64 * 1024,
});

testStreamContract("Deno's TCP connections", {
  makePair: tcpPair,
  exceptions: { "close may be repeated": "Deno throws BadResource; a second [Symbol.dispose]() is harmless" },
});

async function tcpPair(): Promise<[Stream, Stream]> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { hostname, port } = listener.addr as Deno.NetAddr;
  return await Promise.all([Deno.connect({ hostname, port }), listener.accept()]);
}
