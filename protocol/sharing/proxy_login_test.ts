import { assert, assertEquals, assertMatch } from "@std/assert";
import fc from "fast-check";
import { formatProxyLogin, MAX_LOGIN_BYTES, parseProxyLogin, type ProxyLogin } from "./proxy_login.ts";

const USER = "abcdefgh2345";
const NODE = "a".repeat(25) + "a";
const ANY = { country: undefined, region: undefined, city: undefined, nodeId: undefined };

const understood: readonly { readonly name: string; readonly text: string; readonly login: ProxyLogin }[] = [
  { name: "an account alone", text: USER, login: { userId: USER, choice: ANY, session: undefined } },
  {
    name: "a country",
    text: `${USER}-country-de`,
    login: { userId: USER, choice: { ...ANY, country: "de" }, session: undefined },
  },
  {
    name: "keys and names in upper case",
    text: `${USER.toUpperCase()}-COUNTRY-DE-Region-EU_West-city-San_Francisco`,
    login: {
      userId: USER,
      choice: { ...ANY, country: "de", region: "eu-west", city: "san-francisco" },
      session: undefined,
    },
  },
  {
    name: "one node",
    text: `${USER}-node-${NODE}`,
    login: { userId: USER, choice: { ...ANY, nodeId: NODE }, session: undefined },
  },
  {
    name: "a session, which lasts ten minutes and may rotate",
    text: `${USER}-session-Ab_9`,
    login: { userId: USER, choice: ANY, session: { id: "Ab_9", ttlMs: 600_000, isStrict: false } },
  },
  {
    name: "keys in any order",
    text: `${USER}-strict-ttl-1440m-session-x-country-fr`,
    login: {
      userId: USER,
      choice: { ...ANY, country: "fr" },
      session: { id: "x", ttlMs: 86_400_000, isStrict: true },
    },
  },
];

for (const { name, text, login } of understood) {
  Deno.test(`A user name is understood: ${name}`, () => assertEquals(parseProxyLogin(text), login));
}

const refused: readonly { readonly name: string; readonly text: string; readonly reason: RegExp }[] = [
  { name: "nothing", text: "", reason: /must begin with an account/ },
  { name: "an account too short", text: "abc-country-de", reason: /must begin with an account/ },
  { name: "an unknown key", text: `${USER}-contry-de`, reason: /unknown key: contry$/ },
  {
    name: "a key that is a property of every object",
    text: `${USER}-constructor-x`,
    reason: /unknown key: constructor/,
  },
  { name: "a key that must not be shown", text: `${USER}-<b>`, reason: /unknown key$/ },
  { name: "a repeated key", text: `${USER}-country-de-COUNTRY-fr`, reason: /the key country twice/ },
  { name: "strict twice", text: `${USER}-session-a-strict-strict`, reason: /the key strict twice/ },
  { name: "a key without its value", text: `${USER}-country`, reason: /country must be two letters/ },
  { name: "a hyphen at the end", text: `${USER}-`, reason: /unknown key/ },
  { name: "a country of three letters", text: `${USER}-country-deu`, reason: /country must be two letters/ },
  { name: "a node that is none", text: `${USER}-node-abc`, reason: /node must be the id of a node/ },
  { name: "a session id too long", text: `${USER}-session-${"x".repeat(33)}`, reason: /session must be 1 to 32/ },
  { name: "a ttl without its unit", text: `${USER}-session-a-ttl-10`, reason: /ttl must be minutes/ },
  { name: "a ttl of nothing", text: `${USER}-session-a-ttl-0m`, reason: /ttl must be minutes/ },
  { name: "a ttl of more than a day", text: `${USER}-session-a-ttl-1441m`, reason: /ttl must be minutes/ },
  { name: "a ttl without a session", text: `${USER}-ttl-10m`, reason: /ttl, which needs a session/ },
  { name: "strict without a session", text: `${USER}-strict`, reason: /strict, which needs a session/ },
  { name: "more than SOCKS5 carries", text: `${USER}-${"x".repeat(255)}`, reason: /at most 255 bytes/ },
];

for (const { name, text, reason } of refused) {
  Deno.test(`A user name is refused with a reason: ${name}`, () => {
    const fault = parseProxyLogin(text);
    assert(typeof fault === "string", "it was taken");
    assertMatch(fault, reason);
  });
}

const name = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,31}$/);
const base32 = (length: number) =>
  fc.string({ unit: fc.constantFrom(..."abcdefghijklmnopqrstuvwxyz234567"), minLength: length, maxLength: length });
const logins: fc.Arbitrary<ProxyLogin> = fc.record({
  userId: base32(12),
  choice: fc.record({
    country: fc.option(fc.stringMatching(/^[a-z]{2}$/), { nil: undefined }),
    region: fc.option(name, { nil: undefined }),
    city: fc.option(name, { nil: undefined }),
    nodeId: fc.option(base32(25).map((id) => `${id}a`), { nil: undefined }),
  }),
  session: fc.option(
    fc.record({
      id: fc.stringMatching(/^[A-Za-z0-9_]{1,32}$/),
      ttlMs: fc.integer({ min: 1, max: 1440 }).map((minutes) => minutes * 60_000),
      isStrict: fc.boolean(),
    }),
    { nil: undefined },
  ),
});

Deno.test("A user name that was written is read as what it was, and is never too long", () => {
  fc.assert(fc.property(logins, (login) => {
    const text = formatProxyLogin(login);
    assert(text.length <= MAX_LOGIN_BYTES);
    assertEquals(parseProxyLogin(text), login);
  }));
});

Deno.test("Any text is either understood, and then written the same way again, or refused with a reason that can be shown", () => {
  const words = fc.constantFrom(
    "country",
    "region",
    "city",
    "node",
    "session",
    "ttl",
    "strict",
    "de",
    "10m",
    "x",
    "",
    NODE,
  );
  const nearly = fc.array(fc.oneof(words, fc.string({ maxLength: 8 })), { maxLength: 12 })
    .map((parts) => [USER, ...parts].join("-"));
  fc.assert(
    fc.property(fc.oneof(nearly, fc.string({ maxLength: 300 }), fc.string({ unit: "binary" })), (text) => {
      const login = parseProxyLogin(text);
      if (typeof login === "string") assertMatch(login, /^[\x20-\x7e]{1,200}$/);
      else assertEquals(parseProxyLogin(formatProxyLogin(login)), login);
    }),
    { numRuns: 1000 },
  );
});
