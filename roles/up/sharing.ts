/**
 * What `culvert up --with sharing` adds to the small network: an orchestrator, two nodes, and a client with money.
 *
 *   curl ─▶ orchestrator ─▶ node-1 or node-2 ─▶ the network
 *
 * Accounts, codes and money are put into the orchestrator's own store before it starts, as its pages would have done.
 */

import { hashSecret, makeSecret } from "../../edge/orchestrator/access/secrets.ts";
import { Accounts } from "../../edge/orchestrator/access/accounts.ts";
import { Codes } from "../../edge/orchestrator/access/codes.ts";
import { hostPrimitives } from "../../net/host_primitives.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { clientAccount, PROMOTIONS_ACCOUNT, transferId } from "../../protocol/sharing/ledger.ts";
import type { UserRole } from "../../protocol/sharing/records.ts";
import { loadOrCreateIdentity } from "../identity_store.ts";
import { FIRST_TIER } from "../orchestrator/settings.ts";
import { openStores } from "../orchestrator/stores.ts";
import type { RoleContext } from "../role.ts";
import { StateDirectory } from "../state.ts";

/** What somebody logs in with. */
export interface DemoLogin {
  readonly userId: string;
  /** For the pages. */
  readonly secret: string;
  /** For the proxy. */
  readonly proxySecret: string;
}

export interface SharingSeed {
  readonly client: DemoLogin;
  /** Whose nodes they are, and who is the admin as well. */
  readonly owner: DemoLogin;
  /** One for each node. */
  readonly codes: readonly string[];
}

/** What the client has to spend: 10.00. */
const CREDIT_MICROS = 10_000_000n;

/** Makes accounts, money and a code for each of so many nodes in the store of an orchestrator that does not run yet. */
export async function seedSharing(
  stateDir: string,
  nodes: number,
  context: Pick<RoleContext, "clock" | "random" | "log" | "metrics" | "signal">,
): Promise<SharingSeed> {
  const { clock, random } = context;
  const primitives = hostPrimitives();
  const state = await StateDirectory.open(stateDir);
  const { identity } = await loadOrCreateIdentity(state, { ...context, primitives });
  await using stores = await openStores({}, { ...context, stateDir, check: () => {} }, { space: identity.peerId });
  const { users, enrolments } = stores.tables;
  const accounts = new Accounts({ users, clock, random, tier: FIRST_TIER });
  const codes = new Codes({ enrolments, clock, primitives, random });
  const open = async (name: string, roles: UserRole[]): Promise<DemoLogin> => {
    const [secret, proxySecret] = [makeSecret(random), makeSecret(random)];
    const hashes = {
      secretHash: hashSecret(secret, primitives),
      proxySecretHash: hashSecret(proxySecret, primitives),
    };
    const user = await accounts.create({ name, roles, ...hashes });
    return { userId: user!.userId, secret, proxySecret };
  };
  const owner = await open("The owner of the nodes", ["operator", "admin"]);
  const client = await open("A client to try", []);
  const made = [];
  for (let at = 1; at <= nodes; at++) {
    made.push(await codes.make({ kind: "node", label: `node-${at}`, ownerId: owner.userId }));
  }
  const id = `gift:${client.userId}`;
  const [outcome] = await stores.ledger.apply([{
    id,
    transfers: [{
      id: transferId(id, "credit"),
      phase: "posted",
      debit: PROMOTIONS_ACCOUNT,
      credit: clientAccount(client.userId),
      amount: CREDIT_MICROS,
      reason: "gift",
    }],
  }]);
  if (outcome?.status !== "applied") {
    throw new CulvertError("ledger", `Cannot give the client money: ${outcome?.detail}`);
  }
  return { owner, client, codes: made.map(({ code }) => code) };
}
