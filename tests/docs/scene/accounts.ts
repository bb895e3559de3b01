/**
 * What a person does on the pages of an orchestrator, for the stories of shared bandwidth:
 *
 *   accounts.ts SITE INVITATION     opens the admin's account, an owner's and a client's who has money, and prints what they
 *                                   are shown, a line each: NAME VALUE
 */

import * as api from "../../../edge/orchestrator/api.ts";
import { Person } from "../../sharing/fixtures/sharing_world.ts";

const [site, invitation] = Deno.args as [string, string];
const admin = await Person.join(site, invitation, "Ada, the admin");
const owner = await invite("Olu, the owner", ["operator"]);
const client = await invite("Cleo, the client");
const credit = {
  id: "credit-0001",
  userId: client.userId,
  direction: "give",
  amount: "10.00",
  reason: "to begin with",
};
await admin.ask(api.giveCredit, { body: credit });
const { code } = await owner.ask(api.enrolNode, { body: { label: "at home" } });
const { secret } = await client.ask(api.newProxySecret, { body: {} });
const shown = { CODE: code, USERID: client.userId, SECRET: secret, ACCOUNT_SECRET: client.secret };
for (const [name, value] of Object.entries(shown)) console.log(`${name} ${value}`);

async function invite(name: string, roles: readonly string[] = []): Promise<Person> {
  const { code } = await admin.ask(api.invite, { body: { label: name, roles } });
  return await Person.join(site, code, name);
}
