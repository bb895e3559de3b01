import { assertEquals } from "@std/assert";
import { isLoopback } from "./listening.ts";

Deno.test("only addresses of this machine are loopback, and no name that looks like one", () => {
  const hosts = ["127.0.0.1", "127.9.8.7", "::1", "localhost", "127.evil.example", "127.0.0.1.evil.example", "0.0.0.0"];
  const here = hosts.filter((host) => isLoopback({ host, port: 0 }));
  assertEquals(here, ["127.0.0.1", "127.9.8.7", "::1", "localhost"]);
});
