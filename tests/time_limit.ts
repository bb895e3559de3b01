/**
 * Ends tests that hang, so that they fail by name instead of holding up all others: to be preloaded, as `deno task test`
 * does. Deno limits the time of a test that says so, and has no setting for those that say nothing. Helpers that wait
 * give up sooner (`testing/waiting.ts`) and tell what for; this is for what they do not see.
 */

/** Several times what the slowest takes on a machine under load. A test that needs more says so itself. */
const LIMIT_MS = 60_000;

const { test } = Deno;

function testInTime(...args: unknown[]): void {
  const definition = args.find((arg) => typeof arg === "object") as Partial<Deno.TestDefinition> | undefined;
  const fn = args.find((arg) => typeof arg === "function") as Deno.TestDefinition["fn"] | undefined ?? definition!.fn!;
  const name = args.find((arg) => typeof arg === "string") ?? definition?.name ?? fn.name;
  test({ timeout: LIMIT_MS, ...definition, name, fn });
}

Object.defineProperty(Deno, "test", { value: Object.assign(testInTime, test) });
