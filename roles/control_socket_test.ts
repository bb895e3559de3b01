import { assertEquals } from "@std/assert";
import { z } from "zod";
import { clockOf } from "../protocol/clock.ts";
import { silentLog } from "../protocol/log.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { askControlSocket, serveControlSocket } from "./control_socket.ts";

const clock = clockOf(globalThis);

Deno.test("an answer comes whole, though it tells of a hundred guests with the longest paths", async () => {
  using temp = new TempDirectory();
  const words = { role: "test", request: z.literal("status"), answer: z.array(z.string()) };
  const guests = Array.from({ length: 100 }, (_, at) => String(at).padEnd(4096, "x"));
  const path = temp.path("test.sock");
  const answer = () => Promise.resolve(guests);
  await using _serving = await serveControlSocket({ path, words, answer, clock, log: silentLog });
  const { signal } = new AbortController();
  assertEquals(await askControlSocket({ path, words }, "status", { clock, signal }), guests);
});
