/** The pages and the API they are made for, together: from the first invitation to a payout, as three people would. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Browser } from "playwright-core";
import { NODE_ID, testDevice } from "../../edge/orchestrator/fixtures/orchestrator.ts";
import { ServedOrchestrator } from "./fixtures/served_orchestrator.ts";
import { testInChromium, Visitor } from "./fixtures/visitor.ts";

/** Somebody at a browser of their own, with an account. */
interface Person extends AsyncDisposable {
  readonly visitor: Visitor;
  readonly userId: string;
}

async function join(program: Browser, url: string, { name, code }: { name: string; code: string }): Promise<Person> {
  const visitor = await Visitor.start(program, url);
  const page = await visitor.open("/use");
  await page.getByRole("button", { name: "I have an invitation" }).click();
  await page.getByLabel("Invitation").fill(code);
  await page.getByLabel("Your name").fill(name);
  await page.getByRole("button", { name: "Open account" }).click();
  const userId = await page.getByLabel("account", { exact: true }).innerText();
  await page.getByRole("button", { name: "I have kept them" }).click();
  await visitor.settled();
  return { visitor, userId, [Symbol.asyncDispose]: () => visitor[Symbol.asyncDispose]() };
}

async function invite({ visitor }: Person, { label, role }: { label: string; role: string }): Promise<string> {
  const page = await visitor.goTo("/admin/accounts");
  await page.getByRole("button", { name: "Invite" }).click();
  await page.getByLabel("For", { exact: true }).fill(label);
  await page.getByLabel("As", { exact: true }).selectOption({ label: role });
  await page.getByRole("button", { name: "Make an invitation" }).click();
  const code = await page.getByLabel("invitation", { exact: true }).innerText();
  await page.getByRole("button", { name: "Done" }).click();
  await page.getByRole("cell", { name: label, exact: true }).waitFor();
  return code;
}

async function give({ visitor }: Person, { to, amount }: { to: string; amount: string }): Promise<void> {
  const page = await visitor.open("/admin/accounts");
  await page.getByRole("button", { name: `Manage ${to}` }).click();
  await page.getByRole("button", { name: "Credit…" }).click();
  await page.getByLabel("Amount in EUR").fill(amount);
  await page.getByRole("dialog").last().getByLabel("Reason").fill("transfer 4711");
  await page.getByRole("button", { name: "Do it" }).click();
  await page.getByRole("dialog").getByText(`€${amount}`).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
}

async function addNode({ visitor }: Person, label: string): Promise<void> {
  const page = await visitor.goTo("/share");
  await page.getByRole("button", { name: "Add a node" }).first().click();
  await page.getByRole("dialog").getByLabel("Name").fill(label);
  await page.getByRole("button", { name: "Make a code" }).click();
  const code = await page.getByLabel("code", { exact: true }).innerText();
  assertStringIncludes(await page.getByLabel("line", { exact: true }).innerText(), `--code ${code}`);
  await page.getByRole("button", { name: "Done" }).click();
  await page.getByRole("button", { name: `Revoke the code for ${label}` }).waitFor();
}

async function askForPayout({ visitor }: Person, destination: string): Promise<void> {
  const page = visitor.page;
  await page.getByRole("button", { name: "Ask for a payout" }).click();
  await page.getByLabel("Where to").fill(destination);
  await page.getByRole("button", { name: "Ask for it" }).click();
  await page.getByText("Waits for an admin", { exact: true }).waitFor();
}

async function payOut({ visitor }: Person, { note }: { note: string }): Promise<void> {
  const page = await visitor.goTo("/admin/payouts");
  await page.getByRole("button", { name: /^Confirm/ }).click();
  await page.getByLabel("Number or reference of the payment").fill(note);
  await page.getByRole("button", { name: "It was paid" }).click();
  await page.getByText("Nothing waits for you").waitFor();
}

testInChromium("Pages and API: an admin, a client and an operator, from an invitation to a payout", async (program) => {
  await using site = await ServedOrchestrator.start();
  const { url } = site;
  await using ada = await join(program, url, { name: "Ada", code: await site.firstInvitation() });
  const clientCode = await invite(ada, { label: "Ben", role: "Client: uses the proxy" });
  await using ben = await join(program, url, { name: "Ben", code: clientCode });
  const operatorCode = await invite(ada, { label: "Clara", role: "Operator: shares a connection too" });
  await using clara = await join(program, url, { name: "Clara", code: operatorCode });

  await give(ada, { to: "Ben", amount: "25.50" });
  await addNode(clara, "Attic");
  await site.orchestrator.tables.devices.insert(testDevice(clara.userId));
  await site.charge({
    ...{ client: ben.userId, operator: clara.userId, nodeId: NODE_ID },
    ...{ downBytes: 2 ** 30, earned: 1_200_000n, fee: 300_000n },
  });

  // A fresh visit: the cookie alone signs in.
  const use = await ben.visitor.open("/use");
  assertEquals(await use.locator(".figure-value").first().innerText(), "€24.00");
  await use.getByText("1.00 GiB for €1.50").waitFor();
  await use.getByRole("row", { name: /Traffic 1\.00 GiB down, 0 B up through eu −€1\.50/ }).waitFor();
  await use.getByRole("row", { name: /Credit transfer 4711 \+€25\.50/ }).waitFor();
  assertEquals(await use.getByRole("link", { name: "Admin" }).count(), 0);

  const share = await clara.visitor.open("/share");
  assertEquals(await share.locator(".figure-value").first().innerText(), "€1.20");
  await askForPayout(clara, "DE02 1203");
  await payOut(ada, { note: "SEPA 9" });
  await clara.visitor.open("/share");
  await share.getByRole("row", { name: /Paid DE02 1203 SEPA 9 €1\.20/ }).waitFor();
  assertEquals(await share.locator(".figure-value").first().innerText(), "€0.00");

  const audit = await ada.visitor.goTo("/admin/audit");
  await audit.getByRole("button", { name: "Verify" }).click();
  await audit.getByText("The log is whole.").waitFor();
  const actions = await site.orchestrator.audited();
  for (const action of ["account.opened", "account.credit", "node.code"]) {
    assert(actions.includes(action), `${actions}`);
  }
  for (const { visitor } of [ada, ben, clara]) assertEquals(visitor.complaints, []);
});
