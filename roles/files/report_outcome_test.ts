import { assertEquals } from "@std/assert";
import { z } from "zod";
import { silentLog } from "../../protocol/log.ts";
import type { Report } from "../../protocol/tracker/messages.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { serveControlSocket } from "../control_socket.ts";
import { defineRole, type RoleContext, startRole } from "../role.ts";
import { type OpenNetwork, openNetwork } from "./open_network.ts";
import { type PeerRequest, peerSocketPath, peerWords } from "./peer_control.ts";
import { reportOutcome } from "./report_outcome.ts";

const REPORT: Report = { about: "a".repeat(26), outcome: "lied", bytes: 5, ms: 7 };

/** A tracker that lists everybody and writes down what it is asked. */
class FakeTracker implements AsyncDisposable {
  readonly asked: string[] = [];
  readonly reports: Report[] = [];
  readonly #server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => this.#answer(request));

  get url(): URL {
    return new URL(`http://127.0.0.1:${this.#server.addr.port}/`);
  }

  async #answer(request: Request): Promise<Response> {
    const deed = new URL(request.url).pathname.split("/").at(-1)!;
    this.asked.push(deed);
    if (deed === "report") this.reports.push(await request.json());
    const registered = { token: "t".repeat(22), intervalMs: 60_000, ttlMs: 120_000, peers: [] };
    return Response.json(deed === "register" ? registered : {}, { headers: { Connection: "close" } });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

/** Does something as a command would. */
async function within(
  work: (tools: { tracker: FakeTracker; network: OpenNetwork; context: RoleContext }) => Promise<void>,
): Promise<void> {
  using temp = new TempDirectory();
  await using tracker = new FakeTracker();
  const role = defineRole({
    ...{ name: "test", summary: "", examples: [], config: z.object({}), longRunning: false },
    async run(_config, context) {
      const settings = { tracker: [tracker.url], caFile: undefined };
      await using network = await openNetwork(settings, { action: "test" }, context);
      await work({ tracker, network, context });
    },
  });
  await startRole(role, {}, { stateDir: temp.path("state") }).done;
}

Deno.test("a lie is told to trackers by being listed for a moment", async () => {
  await within(async ({ tracker, network, context }) => {
    await reportOutcome(REPORT, network, context);
    assertEquals(tracker.reports, [REPORT]);
    assertEquals(tracker.asked, ["register", "report", "unregister"]);
  });
});

Deno.test("what is no lie is told only through a peer that is listed anyway", async () => {
  await within(async ({ tracker, network, context }) => {
    await reportOutcome({ ...REPORT, outcome: "ok" }, network, context);
    assertEquals(tracker.asked, []);
  });
});

Deno.test("where a peer runs it passes on what is reported", async () => {
  await within(async ({ tracker, network, context }) => {
    const requests: PeerRequest[] = [];
    await using _control = await serveControlSocket({
      ...{ path: peerSocketPath(context.stateDir), words: peerWords, clock: context.clock, log: silentLog },
      answer: (request) => {
        requests.push(request);
        return Promise.reject(new Error("no report of a peer in this test"));
      },
    });
    await reportOutcome(REPORT, network, context);
    assertEquals([requests, tracker.asked], [[{ do: "report", report: REPORT }], []]);
  });
});
