import { assertEquals } from "@std/assert";
import { isLoopback, whyNotListening } from "./listening.ts";

Deno.test("only addresses of this machine are loopback, and no name that looks like one", () => {
  const hosts = ["127.0.0.1", "127.9.8.7", "::1", "localhost", "127.evil.example", "127.0.0.1.evil.example", "0.0.0.0"];
  const here = hosts.filter((host) => isLoopback({ host, port: 0 }));
  assertEquals(here, ["127.0.0.1", "127.9.8.7", "::1", "localhost"]);
});

Deno.test("why a port cannot be listened on is told alike for Deno's errors and Node's", () => {
  const error = (code: string) => Object.assign(new Error(`listen ${code}: 0.0.0.0:443`), { code });
  for (const denied of [new Deno.errors.PermissionDenied("no"), error("EACCES")]) {
    assertEquals(whyNotListening(denied).split(",")[0], "ports below 1024 are for root");
  }
  for (const taken of [new Deno.errors.AddrInUse("no"), error("EADDRINUSE")]) {
    assertEquals(whyNotListening(taken), "another program has this port");
  }
  assertEquals(whyNotListening(error("EWHAT")), "listen EWHAT: 0.0.0.0:443");
});
