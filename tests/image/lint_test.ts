/**
 * The Dockerfile and the compose files before linters of others: what these find is an error here.
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { dirname, fromFileUrl } from "@std/path";
import { DCLinter } from "dclint";
import { validate } from "dockerfile-utils";
import { TempDirectory } from "../../testing/temp_directory.ts";

const ROOT = new URL("../../", import.meta.url);
const COMPOSE = fromFileUrl(new URL("deploy/compose", ROOT));

/** Its rules, but for two that are about taste: a file of ours says first what it is, and a service what it runs. */
const rules: Record<string, 0 | [2, Record<string, unknown>]> = {
  "service-keys-order": 0,
  "top-level-properties-order": 0,
  "require-quotes-in-ports": [2, { quoteType: "double" }],
};

function lintCompose(folder: string): string[] {
  const files = [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) => name.endsWith(".yaml"));
  const paths = files.sort().map((name) => `${folder}/${name}`);
  const results = new DCLinter({ rules, quiet: false, debug: false, exclude: [] }).lintFiles(paths, false);
  assert(results.length > 0, "there are no files");
  return results.flatMap(({ filePath, messages }) =>
    messages.map(({ line, rule, message }) => `${filePath}:${line} ${rule}: ${message}`)
  );
}

Deno.test("the Dockerfile is one that a linter finds nothing wrong with", () => {
  assertEquals(validate(Deno.readTextFileSync(new URL("Dockerfile", ROOT))).map(({ message }) => message), []);
});

Deno.test("the linter of the Dockerfile finds what is wrong", () => {
  const messages = validate("FROM debian\nCOPPY a b\nCMD [ 'culvert' ]\nHEALTHCHECK --intervall=1s CMD x\n")
    .map(({ message }) => message);
  assertEquals(messages.length, 3, messages.join("\n"));
});

Deno.test("the compose files are such that a linter finds nothing wrong with them", () => {
  assertEquals(lintCompose(COMPOSE), []);
});

const wrong: readonly { readonly what: string; readonly service: string }[] = [
  { what: "invalid-schema", service: "image: culvert:1\n    comand: [base]" },
  { what: "service-image-require-explicit-tag", service: "image: culvert" },
  { what: "no-unbound-port-interfaces", service: 'image: culvert:1\n    ports:\n      - "80:80"' },
];

for (const { what, service } of wrong) {
  Deno.test(`the linter of the compose files finds what is wrong: ${what}`, () => {
    using folder = new TempDirectory();
    Deno.writeTextFileSync(folder.path("wrong.yaml"), `name: wrong\nservices:\n  one:\n    ${service}\n`);
    assertStringIncludes(lintCompose(dirname(folder.path("wrong.yaml"))).join("\n"), what);
  });
}
