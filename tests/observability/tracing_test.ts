/**
 * Spans as a collector gets them from real processes under Deno's own switch: they are linked within a process, tell how each
 * deed ended, and nothing of where anybody went.
 */

import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { spanNames } from "../../protocol/tracing.ts";
import { Program } from "../../testing/program.ts";
import { testWith } from "../../testing/requirements.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { eventually } from "../../testing/waiting.ts";
import { Collector } from "./fixtures/collector.ts";

const MAIN = fromFileUrl(new URL("../../roles/main.ts", import.meta.url));

interface Ready {
  readonly addresses: Readonly<Record<string, string>>;
}

function culvert(words: readonly string[], env: Record<string, string>): Program {
  return new Program([Deno.execPath(), "run", "-A", MAIN, ...words, "--json"], { quiet: true, env });
}

async function curl(proxy: string, url: string): Promise<boolean> {
  const args = ["-fsS", "--max-time", "10", "--noproxy", "", "-x", `socks5h://${proxy}`, url];
  return (await new Deno.Command("curl", { args, stdout: "null", stderr: "null" }).output()).success;
}

testWith({ tools: ["curl"] }, "a request through a whole network leaves spans that belong together", async () => {
  await using collector = new Collector();
  await using program = culvert(["up", "--listen", "127.0.0.1:0"], collector.env);
  const { addresses } = await program.readJson() as unknown as Ready;
  assert(await curl(addresses.listen!, "http://hello.culvert/"));
  // Each part hands over its spans in its own time.
  const ofOneSession = () => {
    for (const { attributes, isError } of collector.named("session.setup")) {
      const id = attributes["culvert.session_id"];
      const ofIt = (name: string) => collector.named(name).find((span) => span.attributes["culvert.session_id"] === id);
      const [grant, push, applied] = [ofIt("session.grant"), ofIt("command.push"), ofIt("command.apply")];
      // The exit is in another region, so that its supernode orders it what the client's has asked for by HTTP.
      const asked = push && collector.named("http.request").find(({ spanId }) => spanId === push.parentSpanId);
      if (!isError && grant && applied && asked) return { grant, push, applied, asked };
    }
    return undefined;
  };
  const isDialled = () => ["proxy.dial", "path.dial"].every((name) => collector.named(name).length > 0);
  await eventually("the spans of a session and of a dial", () => isDialled() && ofOneSession() !== undefined);

  const { grant, push, applied, asked } = ofOneSession()!;
  assertEquals([asked.traceId, asked.attributes["culvert.route"]], [push.traceId, "/v1/exit-setups"]);
  assertEquals(grant.attributes["culvert.role"], "supernode");
  assertEquals([applied.attributes["culvert.role"], applied.attributes["culvert.kind"]], ["exit", "SETUP_EXIT"]);
  assertEquals(applied.attributes["culvert.command_id"], push.attributes["culvert.command_id"]);
  // `up` tries as well until it is let through.
  assert(collector.named("proxy.dial").some(({ attributes }) => attributes["culvert.outcome"] === "ok"));
  for (const span of collector.spans.filter(({ scope }) => scope === "culvert")) {
    assert(span.name in spanNames, span.name);
    assert(!JSON.stringify(span).includes("hello.culvert"), `${span.name} tells what is visited`);
  }
});

testWith(
  { tools: ["curl"] },
  "what fails says why by a code alone, and no machine hears of another's trace",
  async () => {
    await using collector = new Collector();
    using directory = new TempDirectory();
    const env = { ...collector.env, CULVERT_TOKEN: "s3cret-t0ken" };
    await using tunnel = culvert(["tunnel", "--listen", "127.0.0.1:0", "--state-dir", directory.path("tunnel")], env);
    const far = (await tunnel.readJson() as unknown as Ready).addresses.listen!;
    const path = `tunnel+ws://s3cret-t0ken@${far}/`;
    await using proxy = culvert([
      "proxy",
      "--listen",
      "127.0.0.1:0",
      "--path",
      path,
      "--state-dir",
      directory.path("proxy"),
    ], env);
    const { addresses } = await proxy.readJson() as unknown as Ready;
    assert(!await curl(addresses.listen ?? Object.values(addresses)[0]!, "http://10.98.76.54/"));
    await eventually(
      "the spans",
      () => collector.named("path.dial").length >= 2 && collector.named("proxy.dial").length > 0,
    );

    const asked = collector.named("proxy.dial")[0]!;
    const near = collector.named("path.dial").find(({ attributes }) => attributes["culvert.role"] === "proxy")!;
    const distant = collector.named("path.dial").find(({ attributes }) => attributes["culvert.role"] === "tunnel")!;
    assertEquals([near.parentSpanId, near.traceId], [asked.spanId, asked.traceId]);
    assertEquals([near.attributes["culvert.way"], distant.attributes["culvert.way"]], ["tunnel+ws", "direct"]);
    assert(distant.traceId !== near.traceId && distant.parentSpanId === "");
    for (const span of [asked, near, distant]) {
      assert(span.isError && /^[a-z_]+$/.test(span.attributes["culvert.outcome"]!), span.attributes["culvert.outcome"]);
    }
    for (const secret of ["10.98.76.54", "s3cret"]) assert(!collector.text.includes(secret), secret);
  },
);
