/**
 * The two ends of shared bandwidth, made of the parts that the roles are made of: an orchestrator with its ledger in memory,
 * and nodes that let everything out. What a chain of plain copies does with the same bytes is `serveCopy`.
 *
 *   load ⇄ serveProxy → AccountPath → NodeTunnels ⇄ NodeClient → direct ⇄ source
 *   load ⇄ serveCopy ⇄ serveCopy ⇄ source
 */

import { LoginBackoff } from "../../edge/orchestrator/access/login_backoff.ts";
import { ProxyLogins } from "../../edge/orchestrator/access/proxy_logins.ts";
import { hashSecret } from "../../edge/orchestrator/access/secrets.ts";
import { createMemoryLedger } from "../../kv/sharing/memory_ledger.ts";
import { BufferPool } from "../../net/buffer_pool.ts";
import { direct } from "../../net/egress.ts";
import { hostPrimitives } from "../../net/host_primitives.ts";
import { serveProxy } from "../../net/proxy.ts";
import { AccountPaths } from "../../net/sharing/account_paths.ts";
import { NodeClient } from "../../net/sharing/node_client.ts";
import { NodeTunnels } from "../../net/sharing/node_tunnels.ts";
import { TunnelLinks } from "../../net/tunnel_link.ts";
import { WebPort } from "../../net/web_port.ts";
import { clockOf } from "../../protocol/clock.ts";
import { policyOf } from "../../protocol/egress_policy.ts";
import { generateSecrets, Identity } from "../../protocol/identity.ts";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import { randomOf } from "../../protocol/random.ts";
import { giveConsent } from "../../protocol/sharing/consent.ts";
import { clientAccount, paymentsAccount, transferId, type TransferSet } from "../../protocol/sharing/ledger.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import type { User } from "../../protocol/sharing/records.ts";
import type { Path, Target } from "../../protocol/stream.ts";
import { LedgerTollBooth } from "../../roles/orchestrator/billing/toll_booth.ts";
import { proxyAuth } from "../../roles/orchestrator/proxy_auth.ts";

/** Clients' user names: one whose bytes are paid for, and one that goes through the same node without a toll. */
export const PAYING_USER = "paying222222";
export const TOLL_FREE_USER = "tollfree2222";
export const SECRET = "secret";

const LOOPBACK = { hostname: "127.0.0.1", port: 0 };
const OWNER = "owner2222222";
const PRICE = { microsPerGib: 2_000_000n, feeBasisPoints: 2000 };
const CREDIT = 10n ** 15n;
/** What is to be measured is not how strangers are held back. */
const MANY = 1_000_000;
const AUTH_LIMITS = {
  address: { perSecond: MANY, burst: MANY },
  peer: { perSecond: MANY, burst: MANY },
};
const ACCOUNT_LIMITS = { maxConnections: MANY, maxConnectionsPerSecond: MANY, maxTargetsPerMinute: MANY };

/** The source is on this machine, which an egress does not reach unless told to. */
const POLICY = policyOf({ allow_addresses: ["loopback"] });

/** Tells where nodes and clients are to come, and serves them until its standard input ends. */
export async function serveOrchestrator(tell: (line: object) => void, until: Promise<void>): Promise<void> {
  const [clock, random, primitives] = [clockOf(globalThis), randomOf(crypto), hostPrimitives()];
  const ledger = createMemoryLedger(clock);
  await ledger.apply([fundsOf(PAYING_USER)]);
  const users = new Map([PAYING_USER, TOLL_FREE_USER].map((userId) => [userId, userOf(userId, primitives)]));
  const identity = new Identity(generateSecrets(random), primitives);
  await using booth = new LedgerTollBooth({ ledger, clock, random, name: identity.peerId, priceOf: () => PRICE });
  using nodes = new NodeTunnels({
    identity,
    primitives,
    clock,
    random,
    log: silentLog,
    metrics: noMetrics,
    authLimits: AUTH_LIMITS,
    admit: () => Promise.resolve({ ownerId: OWNER, region: "eu", standing: { standing: "good" as const }, prices: [] }),
  });
  using accounts = new AccountPaths({
    nodes,
    booth,
    quality: () => ({ score: 1, standing: "good" }),
    policy: POLICY,
    clock,
    random,
    limits: ACCOUNT_LIMITS,
  });
  using web = new WebPort({
    listen: LOOPBACK,
    onWebsocket: (call) => nodes.onWebsocket(call),
    fetch: () => new Response(undefined, { status: 404 }),
    clock,
    log: silentLog,
    limits: { maxStrangersPerAddress: MANY },
  });
  using proxy = serveProxy({
    listen: LOOPBACK,
    clock,
    auth: proxyAuth({
      logins: new ProxyLogins({
        accounts: { get: (userId) => Promise.resolve(users.get(userId)) },
        backoff: new LoginBackoff(clock),
        audit: { refused() {} },
        primitives,
      }),
      paths: {
        path: (user, login) => user.userId === TOLL_FREE_USER ? bareNode(nodes) : accounts.path(user, login),
      },
      seen() {},
    }),
  });
  tell({ ready: true, nodes: `ws://127.0.0.1:${web.address.port}`, proxy: `127.0.0.1:${proxy.address.port}` });
  await until;
}

function userOf(userId: string, primitives: Primitives): User {
  const proxySecretHash = hashSecret(SECRET, primitives);
  return { userId, name: userId, roles: ["user"], status: "active", tier: "standard", proxySecretHash, createdAtMs: 0 };
}

function bareNode(nodes: NodeTunnels): Path {
  for (const node of nodes.all()) return node.path;
  throw new Error("Cannot measure: no node is connected");
}

function fundsOf(userId: string): TransferSet {
  const id = `topup:${userId}`;
  const account = { debit: paymentsAccount("bench"), credit: clientAccount(userId) };
  return {
    id,
    transfers: [{ id: transferId(id, "credit"), ...account, amount: CREDIT, reason: "topup", phase: "posted" }],
  };
}

/** Nodes being let in at once. */
const CONCURRENCY = 64;

/** So many nodes, up until standard input ends; told of once all are. */
export async function holdNodes(
  url: string,
  count: number,
  tell: (line: object) => void,
  until: Promise<void>,
): Promise<void> {
  const [clock, random, primitives] = [clockOf(globalThis), randomOf(crypto), hostPrimitives()];
  const shared = { clock, random, primitives, log: silentLog, metrics: noMetrics, pool: new BufferPool() };
  using onward = direct(POLICY, { clock });
  using links = new TunnelLinks({ clock, metrics: noMetrics });
  await using clients = new AsyncDisposableStack();
  let begun = 0;
  async function worker(): Promise<void> {
    while (begun++ < count) {
      const identity = new Identity(generateSecrets(random), primitives);
      const client = new NodeClient({
        ...shared,
        url,
        identity,
        consent: giveConsent(identity, { primitives, atMs: clock.wallNow() }),
        info: { kind: "linux", agent: "load" },
        egress: { ports: ["1-65535"], datagrams: true, ipv6: false },
        status: () => ({ streams: 0, upBytes: 0, downBytes: 0 }),
        onStream: (stream) => links.serveStream(stream, { onward, hops: [] }),
      });
      clients.use(client);
      await client.ready();
    }
  }
  await Promise.all(Array.from({ length: Math.min(CONCURRENCY, count) }, worker));
  tell({ ready: true, nodes: count });
  await until;
}

const COPY_BYTES = 256 * 1024;

/** Copies what comes to a port to another and back, as plainly as Deno can, until standard input ends. */
export async function serveCopy(to: Target, tell: (line: object) => void, until: Promise<void>): Promise<void> {
  using listener = Deno.listen(LOOPBACK);
  accept(listener, to);
  const { port } = listener.addr as Deno.NetAddr;
  tell({ ready: true, addresses: { listen: `127.0.0.1:${port}` } });
  await until;
}

async function accept(listener: Deno.TcpListener, to: Target): Promise<void> {
  for await (const near of listener) void join(near, to);
}

async function join(near: Deno.TcpConn, to: Target): Promise<void> {
  near.setNoDelay();
  const far = await Deno.connect({ hostname: to.host, port: to.port });
  far.setNoDelay();
  await Promise.all([copy(near, far), copy(far, near)]);
}

/** Ends both with either. */
async function copy(from: Deno.TcpConn, to: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(COPY_BYTES);
  try {
    for (let count = await from.read(buffer); count !== null; count = await from.read(buffer)) {
      for (let at = 0; at < count;) at += await to.write(buffer.subarray(at, count));
    }
  } catch {
    // The load has measured enough, and closes.
  }
  for (const conn of [from, to]) {
    try {
      conn.close();
    } catch {
      // The other direction was first.
    }
  }
}
