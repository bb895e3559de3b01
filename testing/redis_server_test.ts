import { assertEquals } from "@std/assert";
import { REDIS_NEEDS, RedisServer } from "./redis_server.ts";
import { testWith } from "./requirements.ts";
import { eventually } from "./waiting.ts";

testWith(REDIS_NEEDS, "a Redis server answers, stops, comes back, and is gone when disposed", async () => {
  let port: number;
  {
    await using server = await RedisServer.start();
    port = server.port;
    assertEquals(await ping(port), "+PONG\r\n");
    await server.stop();
    await eventually("nobody answers", () => isRefused(port));
    await server.resume();
    assertEquals(await ping(port), "+PONG\r\n");
  }
  await eventually("nobody answers", () => isRefused(port));
});

/** The kernel closes the port a moment after the process has ended. */
async function isRefused(port: number): Promise<boolean> {
  try {
    await ping(port);
    return false;
  } catch (error) {
    return error instanceof Deno.errors.ConnectionRefused;
  }
}

async function ping(port: number): Promise<string> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(new TextEncoder().encode("PING\r\n"));
  const answer = new Uint8Array(64);
  const length = await connection.read(answer);
  return new TextDecoder().decode(answer.subarray(0, length ?? 0));
}
