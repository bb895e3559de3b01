import { assertEquals, assertRejects } from "@std/assert";
import { DialError } from "../protocol/errors.ts";
import { formatIp, parseIp } from "../protocol/ip.ts";
import { relayPlaces } from "./relay_places.ts";

const { signal } = new AbortController();
const names: Readonly<Record<string, readonly string[]>> = {
  "public.example": ["8.8.8.8", "2606:4700::1"],
  "private.example": ["10.1.2.3"],
  "both.example": ["192.168.0.1", "8.8.4.4"],
  "missing.example": [],
};
const resolver = { resolve: (name: string) => Promise.resolve((names[name] ?? []).map((text) => parseIp(text)!)) };

function placesOf(...near: string[]) {
  const locate = relayPlaces({ near, resolver });
  return async (host: string) => (await locate({ host, port: 80 }, signal)).map(formatIp);
}

const rows: readonly { near: string; host: string; found: readonly string[] | undefined }[] = [
  { near: "https://public.example", host: "public.example", found: ["8.8.8.8", "2606:4700::1"] },
  { near: "https://public.example", host: "127.0.0.1", found: undefined },
  { near: "https://public.example", host: "169.254.169.254", found: undefined },
  { near: "https://public.example", host: "private.example", found: undefined },
  { near: "https://public.example", host: "::ffff:10.0.0.1", found: undefined },
  { near: "https://public.example", host: "both.example", found: ["8.8.4.4"] },
  { near: "http://private.example:8470/r1", host: "192.168.0.1", found: ["192.168.0.1"] },
  { near: "http://10.0.0.7:8470", host: "both.example", found: ["192.168.0.1", "8.8.4.4"] },
  { near: "http://10.0.0.7:8470", host: "127.0.0.1", found: undefined },
  { near: "http://missing.example", host: "10.0.0.1", found: undefined },
  { near: "http://[::1]:8470", host: "127.0.0.1", found: ["127.0.0.1"] },
  { near: "http://127.0.0.1:8470", host: "private.example", found: ["10.1.2.3"] },
];
for (const { near, host, found } of rows) {
  Deno.test(`who is known as ${near} ${found ? "dials" : "does not dial"} a relay at ${host}`, async () => {
    const places = placesOf(near);
    if (found) return assertEquals(await places(host), found);
    const error = await assertRejects(() => places(host), DialError);
    assertEquals(error.code, "denied");
  });
}

Deno.test("a host that nobody can have is not looked up", async () => {
  await assertRejects(() => placesOf("https://public.example")("a host"), DialError, "neither a name nor an address");
});
