import { assert, assertEquals } from "@std/assert";
import { z } from "zod";
import { durationMs, listenAddress, secret } from "../fields.ts";
import { helpText, wrap } from "./help.ts";

const schema = z.object({
  shell: z.enum(["bash", "zsh"]).describe("For whom.").meta({ positional: true, placeholder: "shell" }),
  listen: listenAddress("127.0.0.1:1080").describe("Where programs reach the proxy.").meta({ short: "l" }),
  splice: z.boolean().default(true).describe("Copy inside the kernel."),
  path: z.array(z.string()).default([]).describe("Which way out.").meta({ placeholder: "url", example: "direct:" }),
  password: secret().default("hunter2").describe("What users must say."),
  key: z.string().describe("The key."),
  limits: z.object({ veryLongHandshakeTimeout: durationMs("10s").describe("How long a greeting may take.") }),
});

Deno.test("the help names every flag with its default and variable, in 80 columns", () => {
  const text = helpText({
    role: "proxy",
    summary: "Opens the local port that programs talk to, and carries what they say to where a path comes out again.",
    examples: ["culvert proxy bash"],
    groups: { "Flags": schema },
  });
  assertEquals(
    text,
    `Usage: culvert proxy <shell> [flags]

Opens the local port that programs talk to, and carries what they say to where a
path comes out again.

Arguments:
  <shell>                 For whom. One of: bash, zsh.

Flags:
  -l, --listen host:port  Where programs reach the proxy.
                          [default 127.0.0.1:1080] [CULVERT_LISTEN]
      --[no-]splice       Copy inside the kernel. [default true]
                          [CULVERT_SPLICE]
      --path url          Which way out. May be repeated. Such as direct:.
                          [CULVERT_PATH]
      --password secret   What users must say. [CULVERT_PASSWORD]
      --key string        The key. [required] [CULVERT_KEY]
      --limits-very-long-handshake-timeout duration
                          How long a greeting may take. [default 10s]
                          [CULVERT_LIMITS_VERY_LONG_HANDSHAKE_TIMEOUT]
  -h, --help              Show this.

Examples:
  culvert proxy bash
`,
  );
  for (const line of text.split("\n")) assert(line.length <= 80, line);
});

Deno.test("wrapping keeps words and brackets whole", () => {
  assertEquals(wrap("a bb [c d] e", 6), ["a bb", "[c d]", "e"]);
  assertEquals(wrap("", 6), []);
  assertEquals(wrap("incomprehensible", 6), ["incomprehensible"]);
});
