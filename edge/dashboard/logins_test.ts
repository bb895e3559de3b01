import { assert, assertEquals } from "@std/assert";
import { FakeClock } from "../../testing/fake_clock.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { Problem } from "../problem.ts";
import { ADDRESS, TOKEN } from "./fixtures/dashboard.ts";
import { Logins, SESSION_MS } from "./logins.ts";
import { TokenGuard } from "./token_guard.ts";

const STRANGER = "198.51.100.9";

function makeLogins(clock = new FakeClock(), token = TOKEN): Logins {
  return new Logins({ guard: new TokenGuard({ token, clock }), clock, random: new SeededRandom(1) });
}

async function sessionOf(logins: Logins): Promise<string> {
  const login = await logins.logIn(TOKEN, ADDRESS);
  assert(!(login instanceof Problem));
  return login.session;
}

function codeOf(result: unknown): string {
  return result instanceof Problem ? result.code : "ok";
}

Deno.test("the token gives a session, also after a restart, and for another token it counts no more", async () => {
  const clock = new FakeClock();
  const logins = makeLogins(clock);
  const session = await sessionOf(logins);
  assertEquals(await logins.check(session, ADDRESS), clock.wallNow() + SESSION_MS);
  assertEquals(await makeLogins(clock).check(session, STRANGER), clock.wallNow() + SESSION_MS);
  assertEquals(codeOf(await makeLogins(clock, `${TOKEN}.`).check(session, ADDRESS)), "unauthorized");
  assert(session !== await sessionOf(logins));
});

Deno.test("a session ends after twelve hours, to the one that made it and to the next", async () => {
  const clock = new FakeClock();
  const logins = makeLogins(clock);
  const session = await sessionOf(logins);
  clock.advance(SESSION_MS - 1);
  assertEquals(codeOf(await logins.check(session, ADDRESS)), "ok");
  clock.advance(1);
  assertEquals(codeOf(await logins.check(session, ADDRESS)), "token_expired");
  assertEquals(codeOf(await makeLogins(clock).check(session, ADDRESS)), "token_expired");
});

Deno.test("a session with anything in it changed is none", async () => {
  const logins = makeLogins();
  const session = await sessionOf(logins);
  const [nonce, end, mac] = session.split(".");
  const later = (parseInt(end!, 36) + 1).toString(36);
  const other = await sessionOf(logins);
  const wrong = [
    undefined,
    "",
    "x",
    TOKEN,
    `${nonce}.${later}.${mac}`,
    `${nonce}.${end}.${other.split(".")[2]}`,
    `${other.split(".")[0]}.${end}.${mac}`,
    `${nonce}.${end}.`,
    `${nonce}.${end}`,
    `${session}.`,
    ` ${session}`,
    `${nonce}.${end}.${mac!.slice(0, -1)}`,
    `${nonce}.${"z".repeat(12)}.${mac}`,
    "a".repeat(100_000),
  ];
  for (const each of wrong) assertEquals(codeOf(await logins.check(each, ADDRESS)), "unauthorized", each);
  assertEquals(codeOf(await logins.check(session, ADDRESS)), "ok");
});

Deno.test("wrong tokens are refused so often and no more, and then not looked at", async () => {
  const clock = new FakeClock();
  const logins = makeLogins(clock);
  for (let time = 0; time < 20; time++) {
    assertEquals(codeOf(await logins.logIn(`no ${time}`, STRANGER)), "login_refused");
  }
  const refused = await logins.logIn(TOKEN, STRANGER);
  assertEquals(refused instanceof Problem && refused.code, "rate_limited");
  clock.advance(500);
  assertEquals(codeOf(await logins.logIn(TOKEN, STRANGER)), "ok");
});

Deno.test("a session that was ended counts no more, the others do, and it is found over as long as it would have been good", async () => {
  const clock = new FakeClock();
  const logins = makeLogins(clock);
  const [session, other] = [await sessionOf(logins), await sessionOf(logins)];
  logins.end(session);
  assertEquals(codeOf(await logins.check(session, ADDRESS)), "token_expired");
  assertEquals(codeOf(await logins.check(other, ADDRESS)), "ok");
  clock.advance(SESSION_MS - 1);
  assertEquals(codeOf(await logins.check(session, ADDRESS)), "token_expired");
  assertEquals(codeOf(await logins.check(other, ADDRESS)), "ok");
  // What was never good is not remembered.
  for (let number = 0; number < 5000; number++) logins.end(`none ${number}`);
  assertEquals(codeOf(await logins.check(session, ADDRESS)), "token_expired");
});

Deno.test("sessions are guessed so often and no more, and who is in stays in", async () => {
  const clock = new FakeClock();
  const logins = makeLogins(clock);
  const session = await sessionOf(logins);
  const forged = (number: number) => {
    const [nonce, end] = session.split(".");
    return `${nonce}.${end}.${String(number).padStart(42, "A")}A`;
  };
  const codes: string[] = [];
  for (let number = 0; number < 40; number++) codes.push(codeOf(await logins.check(forged(number), ADDRESS)));
  assertEquals(codes.slice(0, 20), Array(20).fill("unauthorized"));
  assertEquals(codes.slice(20), Array(20).fill("rate_limited"));
  assertEquals(codeOf(await logins.check(session, ADDRESS)), "ok");
  // From everywhere together as well.
  const from = (number: number) => `2001:db8:${number.toString(16)}::1`;
  let looked = 0;
  for (let number = 0; number < 500; number++) {
    if (codeOf(await logins.check(forged(number), from(number))) === "unauthorized") looked++;
  }
  assertEquals(looked, 80);
});
