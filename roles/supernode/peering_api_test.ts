import { assertEquals } from "@std/assert";
import { createMemoryBlocks } from "../../kv/blocks.ts";
import { createMemoryNonces } from "../../kv/nonces.ts";
import { hostPrimitives } from "../../net/host_primitives.ts";
import { HttpCallError, SignedHttp } from "../../net/signed_http.ts";
import { AuthLimits } from "../../protocol/control/auth_limits.ts";
import { generateSecrets, Identity } from "../../protocol/identity.ts";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import { randomOf } from "../../protocol/random.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { createPeeringApi, peeringLimits } from "./peering_api.ts";
import { PEERING_PATHS, relayTokenSchema } from "./peering_schema.ts";

const random = randomOf(crypto);
const primitives = hostPrimitives();
const clock = new FakeClock();
const newIdentity = () => new Identity(generateSecrets(random), primitives);

/** A supernode as others ask it. */
function startSupernode(limits = peeringLimits(random)) {
  const { peerId } = newIdentity();
  const never = () => Promise.reject(new Error("not asked here"));
  const api = createPeeringApi({
    recipient: peerId,
    clock,
    primitives,
    nonces: createMemoryNonces(clock),
    blocks: createMemoryBlocks(),
    limits,
    log: silentLog,
    metrics: noMetrics,
    exits: () => ({ candidates: [] }),
    setUp: never,
    end: never,
    notice: never,
    check: () => Promise.resolve({ unknown: [] }),
    relayToken: (supernodeId) => `token-for-${supernodeId}`,
  });
  const fetch = async (request: Request) => await api.fetch(request, { remoteAddress: "192.0.2.1" });
  return { peerId, fetch };
}

Deno.test("what one supernode was asked it cannot ask of another as if it were the asker", async () => {
  const [captured, other] = [startSupernode(), startSupernode()];
  const asker = newIdentity();
  const heard: Request[] = [];
  const http = new SignedHttp({
    signer: asker,
    clock,
    random,
    primitives,
    fetch: (request) => {
      heard.push(request.clone());
      return captured.fetch(request);
    },
  });
  const call = { url: new URL(PEERING_PATHS.tokens, "https://captured.example"), deed: "ask", body: {} };
  const answered = await http.call({ ...call, answer: relayTokenSchema, recipient: captured.peerId });
  assertEquals(answered.relayToken, `token-for-${asker.peerId}`);
  const response = await other.fetch(heard[0]!);
  assertEquals([response.status, (await response.json()).code], [421, "misdirected"]);
  const error = await http.call({ ...call, answer: relayTokenSchema }).catch((error: unknown) => error);
  assertEquals(error instanceof HttpCallError && error.problem?.code, "not_covered", "it must be said whom it is for");
});

Deno.test("what describes it is within an address's rate as everything else", async () => {
  const limit = { perSecond: 1, burst: 4 };
  const { fetch } = startSupernode(new AuthLimits(random, { address: limit, peer: limit }));
  const paths = ["/", "/openapi.json", "/style.css", PEERING_PATHS.tokens, "/", "/openapi.json", "/style.css"];
  const statuses: number[] = [];
  for (const path of paths) {
    const method = path === PEERING_PATHS.tokens ? "POST" : "GET";
    statuses.push((await fetch(new Request(`https://captured.example${path}`, { method }))).status);
  }
  assertEquals(statuses, [200, 200, 200, 401, 429, 429, 429]);
});
