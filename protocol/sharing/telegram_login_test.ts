import { assert, assertEquals } from "@std/assert";
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import fc from "fast-check";
import { checkTelegramInitData, checkTelegramWidget, type TelegramFault } from "./telegram_login.ts";

/** Made with Python's hashlib and hmac from the description at core.telegram.org/widgets/login. */
const WIDGET = {
  botToken: "123456:culvert-test-token",
  fields: {
    id: 279058397,
    first_name: "Ada",
    last_name: "Löve lace",
    username: "ada",
    photo_url: "https://t.me/i/userpic/320/a.jpg",
    auth_date: 1767225600,
    hash: "f4f993a2b77dc274e9e1cf45a5332d5971f00e698f5df2b2ef5c72b3dd68e027",
  },
  atMs: 1767225600_000,
};

/** Published by the Telegram Mini Apps community with the token of a bot that exists no more: docs.telegram-mini-apps.com. */
const INIT_DATA = {
  botToken: "5768337691:AAH5YkoiEuPk8-FZa32hStHTqXiLPtAEhx8",
  text: "query_id=AAHdF6IQAAAAAN0XohDhrOrc&user=%7B%22id%22%3A279058397%2C%22first_name%22%3A%22Vladislav%22%2C%22" +
    "last_name%22%3A%22Kibenko%22%2C%22username%22%3A%22vdkfrost%22%2C%22language_code%22%3A%22ru%22%2C%22is_premium" +
    "%22%3Atrue%7D&auth_date=1662771648&hash=c501b71e775f74ce10e377dea85a7ea24ecd640b223ea86dfe453e0eaed2e2b2",
  atMs: 1662771648_000,
};

/** The same, of a newer client that adds `signature`: README of Telegram-Mini-Apps/init-data-golang. */
const WITH_SIGNATURE = {
  botToken: "7342037359:AAHI25ES9xCOMPokpYoz-p8XVrZUdygo2J4",
  text: "user=%7B%22id%22%3A279058397%2C%22first_name%22%3A%22Vladislav%20%2B%20-%20%3F%20%5C%2F%22%2C%22last_name%22" +
    "%3A%22Kibenko%22%2C%22username%22%3A%22vdkfrost%22%2C%22language_code%22%3A%22ru%22%2C%22is_premium%22%3Atrue%2C" +
    "%22allows_write_to_pm%22%3Atrue%2C%22photo_url%22%3A%22https%3A%5C%2F%5C%2Ft.me%5C%2Fi%5C%2Fuserpic%5C%2F320%5C" +
    "%2F4FPEE4tmP3ATHa57u6MqTDih13LTOiMoKoLDRG4PnSA.svg%22%7D&chat_instance=8134722200314281151&chat_type=private" +
    "&auth_date=1733509682&signature=TYJxVcisqbWjtodPepiJ6ghziUL94-KNpG8Pau-X7oNNLNBM72APCpi_RKiUlBvcqo5L-LAxIc3dnTzc" +
    "ZX_PDg&hash=a433d8f9847bd6addcc563bff7cc82c89e97ea0d90c11fe5729cae6796a36d73",
  atMs: 1733509682_000,
};

Deno.test("what the Login Widget gives says who it is", () => {
  const { botToken, fields, atMs } = WIDGET;
  const user = { telegramId: "279058397", name: "Ada Löve lace" };
  assertEquals(checkTelegramWidget(fields, { botToken, nowMs: atMs }), { ok: true, user });
  const texts = { ...fields, id: "279058397", auth_date: "1767225600" };
  assertEquals(checkTelegramWidget(texts, { botToken, nowMs: atMs }), { ok: true, user });
});

Deno.test("what a Mini App is given says who it is", () => {
  const { botToken, text, atMs } = INIT_DATA;
  const user = { telegramId: "279058397", name: "Vladislav Kibenko" };
  assertEquals(checkTelegramInitData(text, { botToken, nowMs: atMs }), { ok: true, user });
});

Deno.test("signature is one of the fields that the hash covers", () => {
  const { botToken, text, atMs } = WITH_SIGNATURE;
  const user = { telegramId: "279058397", name: "Vladislav + - ? / Kibenko" };
  assertEquals(checkTelegramInitData(text, { botToken, nowMs: atMs }), { ok: true, user });
  const without = text.replace(/&signature=[^&]*/, "");
  assertEquals(checkTelegramInitData(without, { botToken, nowMs: atMs }), { ok: false, fault: "forged" });
});

const { botToken, text, atMs } = INIT_DATA;
const cases: { name: string; text: string; token?: string; nowMs?: number; fault: TelegramFault }[] = [
  { name: "another's name", text: text.replace("Vladislav", "Someone"), fault: "forged" },
  { name: "another time", text: text.replace("1662771648", "1662771649"), fault: "forged" },
  { name: "one more field", text: `${text}&admin=true`, fault: "forged" },
  { name: "another bot's token", text, token: "5768337691:AAAAAAAAAAAA", fault: "forged" },
  { name: "a hash of another", text: text.replace("c501b71e", "c501b71f"), fault: "forged" },
  { name: "a field that comes twice", text: `${text}&user=%7B%7D`, fault: "malformed" },
  { name: "no hash", text: text.replace(/&hash=.*/, ""), fault: "malformed" },
  { name: "a hash that is too short", text: text.slice(0, -1), fault: "malformed" },
  { name: "a line feed in a value", text: text.replace("Kibenko", "Kib%0Aenko"), fault: "malformed" },
  { name: "nothing", text: "", fault: "malformed" },
  { name: "far too much", text: `${text}&a=${"a".repeat(9000)}`, fault: "malformed" },
  { name: "what is sixteen minutes old", text, nowMs: atMs + 16 * 60_000, fault: "stale" },
  { name: "what is two minutes ahead", text, nowMs: atMs - 120_000, fault: "stale" },
];
for (const { name, text, token = botToken, nowMs = atMs, fault } of cases) {
  Deno.test(`${name} is refused as ${fault}`, () => {
    assertEquals(checkTelegramInitData(text, { botToken: token, nowMs }), { ok: false, fault });
  });
}

Deno.test("a name that its owner made look like an id stays a name", () => {
  // What Telegram would sign, if it let a line feed into names, reads the same as these fields with another's id.
  const fields = { auth_date: "1767225600", first_name: "A", id: "1", last_name: "B\nid=279058397" };
  const text = "auth_date=1767225600\nfirst_name=A\nid=1\nlast_name=B\nid=279058397";
  const hash = hmac(sha256, sha256(new TextEncoder().encode(WIDGET.botToken)), new TextEncoder().encode(text)).toHex();
  const verdict = checkTelegramWidget({ ...fields, hash }, { botToken: WIDGET.botToken, nowMs: WIDGET.atMs });
  assertEquals(verdict, { ok: false, fault: "malformed" });
});

Deno.test("whatever else comes is refused, and never an error", () => {
  const check = { botToken, nowMs: atMs };
  fc.assert(fc.property(fc.string({ unit: "binary" }), (junk) => {
    assert(!checkTelegramInitData(junk, check).ok);
    assert(!checkTelegramInitData(`${text}&${junk}=1`, check).ok);
  }));
  fc.assert(fc.property(fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.integer())), (fields) => {
    assert(!checkTelegramWidget(fields, check).ok);
  }));
});

Deno.test("a single character changed anywhere is refused", () => {
  const check = { botToken, nowMs: atMs };
  fc.assert(fc.property(fc.nat(text.length - 1), fc.integer({ min: 33, max: 126 }), (at, code) => {
    const changed = text.slice(0, at) + String.fromCharCode(code) + text.slice(at + 1);
    const same = new URLSearchParams(changed).toString() === new URLSearchParams(text).toString();
    if (!same) assert(!checkTelegramInitData(changed, check).ok);
  }));
});
