import { assertEquals } from "@std/assert";
import { remoteAddressOf } from "./remote_address.ts";

for (
  const [name, forwarded, behindProxy, expected] of [
    ["without a proxy it is the connection's", undefined, false, "192.0.2.1"],
    ["without a proxy nobody can pretend", "198.51.100.1", false, "192.0.2.1"],
    ["behind a proxy it is what the proxy says", "198.51.100.1", true, "198.51.100.1"],
    ["behind a proxy it is not what the client says", "203.0.113.9, 198.51.100.1", true, "198.51.100.1"],
    ["a proxy that says nothing counts itself", undefined, true, "192.0.2.1"],
    ["a proxy that says nothing at the end counts itself", "203.0.113.9, ", true, "192.0.2.1"],
  ] as const
) {
  Deno.test(name, () => {
    const headers = new Headers(forwarded === undefined ? {} : { "x-forwarded-for": forwarded });
    assertEquals(remoteAddressOf(headers, "192.0.2.1", { behindProxy }), expected);
  });
}
