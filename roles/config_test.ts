import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import fc from "fast-check";
import { z } from "zod";
import { CulvertError } from "../protocol/errors.ts";
import { ConfigError, readConfig } from "./config.ts";
import { byteSize, durationMs, filePath, listenAddress, secret } from "./fields.ts";

const schema = z.object({
  listen: listenAddress("127.0.0.1:1080").describe("Where to listen.").meta({ short: "l" }),
  mode: z.enum(["fast", "safe"]).default("safe").meta({ alsoFlag: "manner" }),
  maxStreams: z.number().int().min(1).max(65535).default(100),
  splice: z.boolean().default(true),
  path: z.array(z.string().min(1)).default([]),
  password: secret().optional(),
  limits: z.object({ maxHeader: byteSize("16KiB"), idleTimeout: durationMs("5m") }),
  config: filePath().optional().meta({ configFile: true }),
});

interface Given {
  readonly args?: string[];
  readonly env?: Record<string, string>;
  readonly file?: string;
  readonly fileName?: string;
}

async function read(given: Given): Promise<z.output<typeof schema>> {
  const { args = [], env = {}, file, fileName = "culvert.toml" } = given;
  const subject = { role: "proxy", action: "start proxy", roles: ["proxy", "tunnel"], groups: { own: schema } };
  const settings = await readConfig(subject, {
    args: file === undefined ? args : [...args, "--config", fileName],
    env: (name) => env[name],
    readTextFile: (path) =>
      path === fileName && file !== undefined ? Promise.resolve(file) : Promise.reject(Error("gone")),
  });
  return settings.own;
}

async function problemsOf(given: Given): Promise<readonly string[]> {
  const error = await assertRejects(() => read(given), ConfigError);
  assertInstanceOf(error, ConfigError);
  return error.problems;
}

Deno.test("nothing given means every default, in nested sections too", async () => {
  assertEquals(await read({}), {
    listen: { host: "127.0.0.1", port: 1080 },
    mode: "safe",
    maxStreams: 100,
    splice: true,
    path: [],
    limits: { maxHeader: 16384, idleTimeout: 300_000 },
  });
});

Deno.test("flags win over variables, variables over the file, the file over defaults", async () => {
  const file = "max_streams = 1\nmode = 'fast'\n[limits]\nmax_header = '1KiB'\nidle_timeout = '1s'";
  const env = { CULVERT_MAX_STREAMS: "2", CULVERT_LIMITS_MAX_HEADER: "2KiB" };
  const settings = await read({ args: ["--max-streams", "3"], env, file });
  assertEquals(settings.maxStreams, 3);
  assertEquals(settings.limits, { maxHeader: 2048, idleTimeout: 1000 });
  assertEquals(settings.mode, "fast");
  assertEquals((await read({ env, file })).maxStreams, 2);
  assertEquals((await read({ file })).maxStreams, 1);
});

Deno.test("flags are read in every spelling", async (t) => {
  const rows: { name: string; args: string[]; want: Partial<z.output<typeof schema>> }[] = [
    { name: "a value after a space", args: ["--max-streams", "7"], want: { maxStreams: 7 } },
    { name: "a value after an equals sign", args: ["--max-streams=7"], want: { maxStreams: 7 } },
    { name: "a short flag", args: ["-l", ":9"], want: { listen: { host: "0.0.0.0", port: 9 } } },
    { name: "a short flag with an equals sign", args: ["-l=[::1]:9"], want: { listen: { host: "::1", port: 9 } } },
    { name: "a switch", args: ["--splice"], want: { splice: true } },
    { name: "a negated switch", args: ["--no-splice"], want: { splice: false } },
    { name: "a switch with a value", args: ["--splice=false"], want: { splice: false } },
    { name: "a repeated list", args: ["--path", "a,b", "--path=c"], want: { path: ["a,b", "c"] } },
    { name: "the last of several", args: ["--mode", "fast", "--mode", "safe"], want: { mode: "safe" } },
    { name: "a value that begins with a dash", args: ["--path", "-"], want: { path: ["-"] } },
    { name: "a value that looks like a flag", args: ["--path=--mode"], want: { path: ["--mode"] } },
    {
      name: "a nested setting",
      args: ["--limits-max-header", "1MB"],
      want: { limits: { maxHeader: 1e6, idleTimeout: 300_000 } },
    },
  ];
  for (const { name, args, want } of rows) {
    await t.step(name, async () => {
      assertEquals(await read({ args }), { ...await read({}), ...want });
    });
  }
});

Deno.test("variables carry lists with commas, and an empty one counts as unset", async () => {
  const env = { CULVERT_PATH: "a, b,,c", CULVERT_MODE: "", CULVERT_SPLICE: "off", CULVERT_OTHER_ROLE: "x" };
  const { path, mode, splice } = await read({ env });
  assertEquals({ path, mode, splice }, { path: ["a", "b", "c"], mode: "safe", splice: false });
});

Deno.test("one file serves several roles: shared keys, a section per role, the own section winning", async () => {
  const file = `mode = "fast"\nmax-streams = 5\n[tunnel]\nlinks = 4\n[proxy]\nmaxStreams = 6\nlimits.max_header = 512`;
  const settings = await read({ file });
  assertEquals([settings.mode, settings.maxStreams, settings.limits.maxHeader], ["fast", 6, 512]);
});

Deno.test("a JSON file works like a TOML one", async () => {
  const file = JSON.stringify({ splice: false, path: ["a"], limits: { idleTimeout: "2s" } });
  const settings = await read({ file, fileName: "culvert.json" });
  assertEquals([settings.splice, settings.path, settings.limits.idleTimeout], [false, ["a"], 2000]);
});

Deno.test("a file takes one value for a list of one, and a whole number where text is meant", async () => {
  const settings = await read({ file: "path = 'a'\npassword = 1234\nlimits.max_header = 100" });
  assertEquals([settings.path, settings.password, settings.limits.maxHeader], [["a"], "1234", 100]);
});

Deno.test("what is wrong is said with its place, its rule and what was given", async (t) => {
  const rows: (Given & { name: string; want: string[] })[] = [
    { name: "a flag", args: ["--listen", "foo"], want: [`--listen must be host:port, got "foo"`] },
    { name: "a short flag", args: ["-l", "foo"], want: [`-l must be host:port, got "foo"`] },
    { name: "a variable", env: { CULVERT_LISTEN: "foo" }, want: [`CULVERT_LISTEN must be host:port, got "foo"`] },
    {
      name: "a key in the file",
      file: "[limits]\nidle_timeout = '5 minutes'",
      want: [
        "limits.idle_timeout in culvert.toml must be a duration such as 500ms, 30s, 5m or 1h30m, " +
        `got "5 minutes"`,
      ],
    },
    {
      name: "a key in a role's section",
      file: "[proxy]\nmode = 'slow'",
      want: [`proxy.mode in culvert.toml must be one of fast, safe, got "slow"`],
    },
    { name: "no number", args: ["--max-streams", "many"], want: [`--max-streams must be a number, got "many"`] },
    { name: "no whole number", args: ["--max-streams=1.5"], want: [`--max-streams must be a whole number, got "1.5"`] },
    { name: "too small", args: ["--max-streams=0"], want: [`--max-streams must be at least 1, got "0"`] },
    { name: "too big", args: ["--max-streams=65536"], want: [`--max-streams must be at most 65535, got "65536"`] },
    { name: "no boolean", args: ["--splice=maybe"], want: [`--splice must be true or false, got "maybe"`] },
    { name: "an item", args: ["--path", "a", "--path="], want: [`--path must be at least 1 character long, got ""`] },
    {
      name: "the wrong type in a file",
      file: "mode = [1]",
      want: ["mode in culvert.toml must be one of fast, safe, got a list of 1"],
    },
    {
      name: "a secret, unseen",
      args: ["--password="],
      want: ["--password must not be empty, got something else (not shown)"],
    },
    { name: "a missing value", args: ["--listen"], want: ["--listen must be followed by a value, got nothing"] },
    {
      name: "a flag for a value",
      args: ["--listen", "--splice"],
      want: ["--listen must be followed by a value, got nothing"],
    },
    {
      name: "an unknown flag",
      args: ["--lisen", "x:1"],
      want: ["--lisen is not a flag; did you mean --listen?"],
    },
    { name: "a word too many", args: ["x"], want: [`"x" is one word too many: flags begin with --`] },
    { name: "an unknown short flag", args: ["-x"], want: ["-x is not a flag"] },
    {
      name: "an unknown key",
      file: "max_steams = 1",
      want: [
        "max_steams in culvert.toml is not a setting; did you mean max_streams?",
      ],
    },
    {
      name: "an unknown section",
      file: "[tunel]\nx = 1",
      want: [
        "tunel in culvert.toml is not a setting; did you mean tunnel?",
      ],
    },
    { name: "a value for a section", file: "limits = 1", want: ["limits in culvert.toml must be a section, got 1"] },
    {
      name: "two spellings",
      file: "max_streams = 1\nmaxStreams = 2",
      want: [
        "maxStreams in culvert.toml is there twice, in different spellings",
      ],
    },
    { name: "no such file", args: ["--config", "x.toml"], want: ["--config must be a file that can be read: gone"] },
    { name: "a JSON array", file: "[]", fileName: "c.json", want: ["c.json must hold an object, got a list of 0"] },
    {
      name: "a password in a URL",
      args: ["--listen", "wss://me:hunter2@host/"],
      want: [`--listen must be host:port, got "wss://…@host/"`],
    },
    {
      name: "control characters",
      args: ["--listen", "a\n\x1b[2Jb"],
      want: [String.raw`--listen must be host:port, got "a\n\u001b[2Jb"`],
    },
  ];
  for (const { name, want, ...given } of rows) {
    await t.step(name, async () => assertEquals(await problemsOf(given), want));
  }
});

Deno.test("every problem is reported at once, a line each", async () => {
  const error = await assertRejects(
    () => read({ args: ["--listen", "foo", "--wrong"], env: { CULVERT_MODE: "x" }, file: "[limits]\nfoo = 1" }),
    ConfigError,
  );
  assertEquals(error.message.split("\n").length, 4);
  for (const line of error.message.split("\n")) assert(line.startsWith("Cannot start proxy: "), line);
});

Deno.test("a file that cannot be read as such is named with the line, but not quoted", async () => {
  const toml = { file: "listen = ':1'\npassword = hunter2" };
  assertEquals(await problemsOf(toml), ["culvert.toml must be TOML; line 2 cannot be read"]);
  const json = { file: '{\n"password": "hunter2" "x"}', fileName: "c.json" };
  assertEquals(await problemsOf(json), ["c.json must be JSON; line 2 cannot be read"]);
  assertEquals(await problemsOf({ file: "hunter2", fileName: "c.json" }), ["c.json must be JSON"]);
});

Deno.test("a required setting that is missing names all its places", async () => {
  const subject = { role: "t", action: "start t", roles: [], groups: { own: z.object({ peerUrl: z.string() }) } };
  const sources = { args: [], env: () => undefined, readTextFile: () => Promise.reject(Error()) };
  await assertRejects(
    () => readConfig(subject, sources),
    ConfigError,
    "Cannot start t: --peer-url must be given (or CULVERT_PEER_URL, or peer_url in the config file)",
  );
});

Deno.test("rules written into a schema are used as they are", async () => {
  const own = z.object({
    port: z.number().refine((port) => port !== 25, "any port but 25").default(80),
    low: z.number().default(1),
    high: z.number().default(2),
  }).refine(({ low, high }) => low < high, { path: ["low"], message: "below --high" });
  const subject = { role: "t", action: "start t", roles: [], groups: { own } };
  const sources = { args: ["--port=25"], env: () => undefined, readTextFile: () => Promise.reject(Error()) };
  await assertRejects(() => readConfig(subject, sources), ConfigError, `--port must be any port but 25, got "25"`);
  const wrongOrder = { ...sources, args: ["--low=3"] };
  await assertRejects(() => readConfig(subject, wrongOrder), ConfigError, `--low must be below --high, got "3"`);
  const byDefault = { ...sources, args: ["--high=1"] };
  await assertRejects(() => readConfig(subject, byDefault), ConfigError, "--low must be below --high");
});

Deno.test("a schema that no flag can carry, or the same flag twice, is the programmer's error", async () => {
  const sources = { args: [], env: () => undefined, readTextFile: () => Promise.reject(Error()) };
  const subject = (groups: Record<string, z.ZodObject>) => ({ role: "t", action: "start t", roles: [], groups });
  const dated = z.object({ since: z.date() });
  await assertRejects(() => readConfig(subject({ dated }), sources), CulvertError, "Cannot make a flag of since");
  const listen = z.object({ listen: listenAddress(":1") });
  await assertRejects(() => readConfig(subject({ a: listen, b: listen }), sources), CulvertError, "--listen");
});

Deno.test("whatever is given, it is settings or a ConfigError", async () => {
  const word = fc.oneof(
    fc.string(),
    fc.string({ unit: "binary" }),
    fc.constantFrom("--listen", "-l", "--no-splice", "--", "--path", "--splice=", "--config", "--limits-max-header"),
  );
  const anything = fc.record({
    args: fc.array(word, { maxLength: 6 }),
    mode: fc.string(),
    file: fc.oneof(fc.json(), fc.string(), fc.constantFrom('{"__proto__":{"a":1}}', '{"limits":null}', "null")),
    fileName: fc.constantFrom("c.json", "c.toml"),
  });
  await fc.assert(
    fc.asyncProperty(anything, async ({ args, mode, file, fileName }) => {
      try {
        await read({ args, env: { CULVERT_MODE: mode, CULVERT_LISTEN: mode }, file, fileName });
      } catch (error) {
        assertInstanceOf(error, ConfigError);
        assert(error.problems.every((problem) => !problem.includes("\n")), error.message);
      }
    }),
    { numRuns: 300 },
  );
});

Deno.test("a flag may have another name, which says the same", async () => {
  assertEquals((await read({ args: ["--manner", "fast"] })).mode, "fast");
  assertEquals((await read({ args: ["--manner=fast", "--mode", "safe"] })).mode, "safe");
  assertEquals(await problemsOf({ args: ["--manner", "slow"] }), [`--manner must be one of fast, safe, got "slow"`]);
});
