/**
 * How a served app ends, in a process of its own, as it takes the signals and the exit of one.
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { freePort } from "../testing/program.ts";
import { within } from "../testing/waiting.ts";

/** It answers only after its goodbye, which fails. */
const PROGRAM = `
  import { serveMain } from ${JSON.stringify(new URL("main_serve.ts", import.meta.url).href)};
  const { promise, resolve } = Promise.withResolvers();
  serveMain({
    app: { async fetch() { console.log("asked"); await promise; return new Response("answered"); } },
    drain() { setTimeout(resolve, 50); return Promise.reject(new Error("nothing to write with")); },
  });
`;

Deno.test("a goodbye that fails is told, and what is under way ends all the same", async () => {
  const port = freePort();
  await using program = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--ext=ts", PROGRAM],
    env: { CULVERT_LISTEN: `127.0.0.1:${port}`, NO_COLOR: "1" },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const written: string[] = [];
  const { promise: heard, resolve: onAsked } = Promise.withResolvers<void>();
  const { promise: serving, resolve: onServing } = Promise.withResolvers<void>();
  const keep = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>) => {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      written.push(text);
      const all = written.join("");
      if (all.includes("Serving")) onServing();
      if (all.includes("asked")) onAsked();
    }
  };
  const reading = Promise.all([keep(program.stdout), keep(program.stderr)]);
  await within("it serves", serving);
  const answer = fetch(`http://127.0.0.1:${port}/`).then((response) => response.text());
  await within("it is asked", heard);
  program.kill("SIGTERM");
  assertEquals(await within("its answer", answer), "answered");
  assertEquals((await within("its end", program.status)).code, 0);
  await reading;
  assertStringIncludes(written.join(""), "Cannot say goodbye");
  assertStringIncludes(written.join(""), "nothing to write with");
});
