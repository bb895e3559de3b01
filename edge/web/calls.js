/**
 * The orchestrator's operations by name, with the types of their answers: what `edge/orchestrator/api.ts` says, as
 * functions. Pages call these and never an address.
 */

/** @import * as api from "../orchestrator/api.ts" */
/** @import { z } from "zod" */
/** @import { Api } from "./lib/api.js" */

/**
 * @template {{ answer: { schema: z.ZodType } }} O
 * @typedef {z.infer<O["answer"]["schema"]>} Answer
 */

/**
 * @template {{ body: z.ZodType }} O
 * @typedef {z.input<O["body"]>} Body
 */

/**
 * @template {{ query: z.ZodType }} O
 * @typedef {z.input<O["query"]>} Query
 */

/** @param {Api} client */
export function createCalls(client) {
  /**
   * @template T
   * @param {string} path
   * @returns {(query?: {}, signal?: AbortSignal) => Promise<T>}
   */
  const read = (path) => (query, signal) => client.get(path, { query: query ?? {}, signal });
  /**
   * @template B, T
   * @param {string} path
   * @returns {(body: B) => Promise<T>}
   */
  const change = (path) => (body) => client.post(path, { body });

  return {
    client,
    file: {
      /** @param {Query<typeof api.getStatement>} query */
      statement: (query) => client.file("/v1/statement", { query }),
    },
    /** @type {(body: Body<typeof api.logIn>) => Promise<api.SessionView>} */
    logIn: (body) => client.postOpen("/v1/session", { ...body, refresh: "cookie" }),
    /** @type {(body: Body<typeof api.logInByTelegram>) => Promise<api.SessionView>} */
    logInByTelegram: (body) => client.postOpen("/v1/session/telegram", { ...body, refresh: "cookie" }),
    /** @type {(body: Body<typeof api.openAccount>) => Promise<Answer<typeof api.openAccount>>} */
    openAccount: (body) => client.postOpen("/v1/accounts", { ...body, refresh: "cookie" }),
    /** @type {() => Promise<api.InfoView>} */
    info: () => client.getOpen("/v1/info"),
    prices: /** @type {Reader<typeof api.listPrices>} */ (read("/v1/prices")),
    places: /** @type {Reader<typeof api.listPlaces>} */ (read("/v1/places")),

    account: /** @type {Reader<typeof api.getAccount>} */ (read("/v1/account")),
    changeAccount: /** @type {Changer<typeof api.changeAccount>} */ (change("/v1/account")),
    newSecret: /** @type {Changer<typeof api.newSecret>} */ (change("/v1/account/secret")),
    newProxySecret: /** @type {Changer<typeof api.newProxySecret>} */ (change("/v1/account/proxy-secret")),
    balance: /** @type {Reader<typeof api.getBalance>} */ (read("/v1/balance")),
    usage: /** @type {Reader<typeof api.getUsage>} */ (read("/v1/usage")),
    statement: /** @type {Reader<typeof api.getStatement>} */ (read("/v1/statement")),
    uses: /** @type {Reader<typeof api.listUses>} */ (read("/v1/uses")),
    topUp: /** @type {Changer<typeof api.topUp>} */ (change("/v1/top-ups")),
    apiKeys: /** @type {Reader<typeof api.listApiKeys>} */ (read("/v1/api-keys")),
    newApiKey: /** @type {Changer<typeof api.newApiKey>} */ (change("/v1/api-keys")),
    revokeApiKey: /** @type {Changer<typeof api.revokeApiKey>} */ (change("/v1/api-keys/revoke")),

    nodes: /** @type {Reader<typeof api.listNodes>} */ (read("/v1/nodes")),
    nodeCodes: /** @type {Reader<typeof api.listNodeCodes>} */ (read("/v1/nodes/codes")),
    enrolNode: /** @type {Changer<typeof api.enrolNode>} */ (change("/v1/nodes/codes")),
    revokeNodeCode: /** @type {Changer<typeof api.revokeNodeCode>} */ (change("/v1/nodes/codes/revoke")),
    nameNode: /** @type {Changer<typeof api.changeNode>} */ (change("/v1/nodes/label")),
    removeNode: /** @type {Changer<typeof api.removeNode>} */ (change("/v1/nodes/remove")),
    appeal: /** @type {Changer<typeof api.appeal>} */ (change("/v1/nodes/appeal")),
    earnings: /** @type {Reader<typeof api.getEarnings>} */ (read("/v1/earnings")),
    payouts: /** @type {Reader<typeof api.listPayouts>} */ (read("/v1/payouts")),
    requestPayout: /** @type {Changer<typeof api.requestPayout>} */ (change("/v1/payouts")),

    overview: /** @type {Reader<typeof api.getOverview>} */ (read("/v1/admin/overview")),
    users: /** @type {Reader<typeof api.listUsers>} */ (read("/v1/admin/users")),
    user: /** @type {Reader<typeof api.getUser>} */ (read("/v1/admin/user")),
    changeUser: /** @type {Changer<typeof api.changeUser>} */ (change("/v1/admin/user")),
    endLogins: /** @type {Changer<typeof api.endLogins>} */ (change("/v1/admin/user/end-logins")),
    giveCredit: /** @type {Changer<typeof api.giveCredit>} */ (change("/v1/admin/credits")),
    invite: /** @type {Changer<typeof api.invite>} */ (change("/v1/admin/invitations")),
    invitations: /** @type {Reader<typeof api.listInvitations>} */ (read("/v1/admin/invitations")),
    revokeInvitation: /** @type {Changer<typeof api.revokeInvitation>} */ (change("/v1/admin/invitations/revoke")),
    allNodes: /** @type {Reader<typeof api.listAllNodes>} */ (read("/v1/admin/nodes")),
    judgeNode: /** @type {Changer<typeof api.judgeNode>} */ (change("/v1/admin/nodes/standing")),
    disconnectNode: /** @type {Changer<typeof api.disconnectNode>} */ (change("/v1/admin/nodes/disconnect")),
    allPayouts: /** @type {Reader<typeof api.listAllPayouts>} */ (read("/v1/admin/payouts")),
    decidePayout: /** @type {Changer<typeof api.decidePayout>} */ (change("/v1/admin/payouts/decide")),
    audit: /** @type {Reader<typeof api.listAudit>} */ (read("/v1/admin/audit")),
    verifyAudit: /** @type {Reader<typeof api.verifyAudit>} */ (read("/v1/admin/audit/verification")),
  };
}

/** @typedef {ReturnType<typeof createCalls>} Calls */

/**
 * @template {{ answer: { schema: z.ZodType } }} O
 * @typedef {(query?: O extends { query: z.ZodType } ? z.input<O["query"]> : {}, signal?: AbortSignal) => Promise<Answer<O>>} Reader
 */

/**
 * @template {{ body: z.ZodType, answer: { schema: z.ZodType } }} O
 * @typedef {(body: z.input<O["body"]>) => Promise<Answer<O>>} Changer
 */
