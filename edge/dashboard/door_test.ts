import { assertEquals } from "@std/assert";
import { refusalOfHost, refusalOfPage } from "./door.ts";

const hosts = ["Dash.example.org"];

for (
  const [url, isRight] of [
    ["http://127.0.0.1:8080/", true],
    ["http://[::1]:8080/", true],
    ["http://192.0.2.5/", true],
    ["http://localhost:8080/", true],
    ["http://supernode.localhost/", true],
    ["https://dash.example.org/", true],
    ["https://DASH.example.org./", true],
    ["http://evil.example/", false],
    ["http://127.0.0.1.evil.example/", false],
    ["http://localhost.evil.example/", false],
    ["http://notlocalhost/", false],
    ["http://dash.example.org.evil.example/", false],
  ] as const
) {
  Deno.test(`${url} is ${isRight ? "" : "not "}an address of ours`, () => {
    assertEquals(refusalOfHost(new Request(url), hosts)?.code, isRight ? undefined : "misdirected");
  });
}

for (
  const [headers, isOurs] of [
    [{}, true],
    [{ "sec-fetch-site": "same-origin", origin: "http://127.0.0.1:8080" }, true],
    [{ "sec-fetch-site": "none" }, true],
    [{ origin: "http://127.0.0.1:8080" }, true],
    [{ "sec-fetch-site": "cross-site" }, false],
    // Another port of the same host is the same site.
    [{ "sec-fetch-site": "same-site" }, false],
    [{ "sec-fetch-site": "something new" }, false],
    [{ origin: "http://127.0.0.1:8081" }, false],
    [{ origin: "http://evil.example" }, false],
    [{ origin: "null" }, false],
    [{ origin: "" }, false],
    [{ "sec-fetch-site": "same-origin", origin: "http://evil.example" }, false],
  ] as const
) {
  Deno.test(`a request with ${JSON.stringify(headers)} is ${isOurs ? "" : "not "}from a page of ours`, () => {
    const request = new Request("http://127.0.0.1:8080/api/dashboard/deeds", {
      method: "POST",
      headers: { ...headers },
    });
    assertEquals(refusalOfPage(request)?.code, isOurs ? undefined : "cross_site");
  });
}
