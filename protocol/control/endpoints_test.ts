import { assertEquals, assertThrows } from "@std/assert";
import { CulvertError } from "../errors.ts";
import { CONTROL_PATH, RELAY_PATH, supernodeEndpoint } from "./endpoints.ts";

const endpoints = [
  {
    name: "a host alone has the scheme's port",
    url: "https://sn.example",
    path: CONTROL_PATH,
    endpoint: { target: { host: "sn.example", port: 443 }, tls: true, urlPath: "/control" },
  },
  {
    name: "a prefix is kept",
    url: "ws://127.0.0.1:8080/one/",
    path: RELAY_PATH,
    endpoint: { target: { host: "127.0.0.1", port: 8080 }, tls: false, urlPath: "/one/relay" },
  },
  {
    name: "an IPv6 literal loses its brackets",
    url: "wss://[::1]:9/",
    path: RELAY_PATH,
    endpoint: { target: { host: "::1", port: 9 }, tls: true, urlPath: "/relay" },
  },
] as const;

for (const { name, url, path, endpoint } of endpoints) {
  Deno.test(`a supernode's endpoint: ${name}`, () => assertEquals(supernodeEndpoint(url, path), endpoint));
}

for (const url of ["", "ftp://host/", "host:1", "https://"]) {
  Deno.test(`"${url}" is no supernode's URL`, () => {
    assertThrows(() => supernodeEndpoint(url, CONTROL_PATH), CulvertError, "Cannot reach a supernode");
  });
}
