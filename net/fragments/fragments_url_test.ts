import { assertEquals, assertThrows } from "@std/assert";
import { CulvertError } from "../../protocol/errors.ts";
import { parseFragmentsUrl } from "./fragments_url.ts";

const usual = {
  token: undefined,
  centralId: undefined,
  up: 3,
  down: 3,
  dataShards: 2,
  totalShards: 3,
  sessions: 2,
  isPostOnly: false,
};
const ID = "aaaaaaaaaaaaaaaaaaaaaaaaaa";

Deno.test("what a URL says is read, and the rest is as usual", async (t) => {
  const rows = [
    { name: "nothing but the base", url: "fragments+http://127.0.0.1:80", base: "http://127.0.0.1/", says: {} },
    {
      name: "a token",
      url: "fragments+https://s%21@b.example/d/",
      base: "https://b.example/d/",
      says: { token: "s!" },
    },
    {
      name: "everything",
      url: `fragments+https://b.example/?central=${ID}&up=4&down=2&data=1&total=2&sessions=1&post=1`,
      base: "https://b.example/",
      says: { centralId: ID, up: 4, down: 2, dataShards: 1, totalShards: 2, sessions: 1, isPostOnly: true },
    },
    {
      name: "more data shards than usual in all",
      url: "fragments+http://b/?data=5",
      base: "http://b/",
      says: { dataShards: 5, totalShards: 5 },
    },
    {
      name: "one shard in all",
      url: "fragments+http://b/?total=1",
      base: "http://b/",
      says: { dataShards: 1, totalShards: 1 },
    },
  ];
  for (const { name, url, base, says } of rows) {
    await t.step(name, () => {
      assertEquals(parseFragmentsUrl(url), { ...usual, ...says, base: new URL(base) });
    });
  }
});

Deno.test("what is wrong with a URL is said, without the token", async (t) => {
  const rows = [
    { name: "another scheme", url: "fragments+ws://b/", says: 'must begin with "fragments+http://" or' },
    { name: "no host", url: "fragments+http://", says: "must look like" },
    { name: "an unknown setting", url: "fragments+http://t0k@b/?ups=3", says: 'got "ups"' },
    { name: "too many legs", url: "fragments+http://t0k@b/?up=17", says: 'up between 1 and 16, got "17"' },
    { name: "no number", url: "fragments+http://b/?sessions=two", says: 'sessions between 1 and 64, got "two"' },
    { name: "a coding that cannot be", url: "fragments+http://b/?data=3&total=2", says: "got data 3 and total 2" },
    { name: "many times over", url: "fragments+http://b/?data=2&total=9", says: "at most 4 times data, got data 2" },
    { name: "no peer id", url: "fragments+http://b/?central=me", says: "must name a central by its peer id" },
    { name: "a flag that is none", url: "fragments+http://b/?post=yes", says: 'post 0 or 1, got "yes"' },
    { name: "a token that cannot be said", url: "fragments+http://t%20k@b/", says: "printable ASCII" },
    { name: "a token cut short", url: "fragments+http://t%@b/", says: "percent-decoded" },
  ];
  for (const { name, url, says } of rows) {
    await t.step(name, () => {
      const error = assertThrows(() => parseFragmentsUrl(url), CulvertError, says);
      assertEquals([error.code, error.message.includes("t0k")], ["bad_url", false]);
    });
  }
});

Deno.test("a path that looks like a host stays a path", () => {
  assertEquals(parseFragmentsUrl("fragments+https://b.example//other.example/?up=2").base.host, "b.example");
});
