/** What the pages of a peer server decide without a browser. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import { commonPageFiles, INDEX_NAME, type PageTable } from "../../edge/page_files.ts";
import { pageFileTable } from "../../edge/orchestrator/page_table.ts";
import { createPeerPages, peerPageTable } from "../../edge/peer_pages.ts";
import { hrefOf, nameOf, parentOf, placeOf, shown, wayTo } from "../../edge/web/peer/places.js";

const HOME = { kind: "folder", path: "" } as const;
const names = fc.string({ minLength: 1, unit: "grapheme" }).map((name) => name.replaceAll("/", ":"))
  .filter((name) => name !== "." && name !== "..");
const paths = fc.array(names, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"));
const peerIds = fc.constantFrom(undefined, "b".repeat(25) + "a");

Deno.test("the pages may load and frame what is theirs, and nothing else", async () => {
  const answer = await createPeerPages("0.1.0").request("/");
  const policy = answer.headers.get("content-security-policy") ?? "";
  const sources = policy.split("; ").filter((rule) => /-(?:src|uri|action|ancestors) /.test(rule));
  for (const rule of sources) assertMatch(rule, /^[a-z-]+ '(?:self|none)'$/);
  assertStringIncludes(policy, "default-src 'none'");
  assertStringIncludes(policy, "trusted-types 'none'");
  assertEquals((await createPeerPages("0.1.0").request("/web/peer/styles.css")).status, 200);
  assertEquals((await createPeerPages("0.1.0").request("/web/app.js")).status, 404);
});

/** What a file of the pages loads, as names of the table. */
async function loadedBy(name: string, table: PageTable): Promise<string[]> {
  const { default: text } = await table[name]!();
  const folder = `http://pages/web/${name}`;
  const names = [...text.matchAll(/^(?:import|export) [^;]*? from "([^"]+)"|(?:src|href)="(\/web\/[^"]+)"/gm)];
  return names.map(([, module, file]) => new URL(module ?? file!, folder).pathname.replace("/web/", ""));
}

Deno.test("all that a page loads is served", async () => {
  for (const table of [pageFileTable(), peerPageTable()]) {
    const reached = new Set([INDEX_NAME, "theme.js"]);
    for (const name of reached) {
      if (!/\.(?:js|html)$/.test(name) || name === "lib/uplot.js") continue;
      for (const other of await loadedBy(name, table)) {
        assert(other in table, `${name} loads ${other}`);
        reached.add(other);
      }
    }
    assert(reached.size > Object.keys(commonPageFiles()).length);
  }
});

Deno.test("every place has an address that leads back to it", () => {
  fc.assert(fc.property(paths, peerIds, names, (path, peerId, text) => {
    const whose = peerId === undefined ? {} : { peerId };
    for (
      const place of [
        { kind: "folder", path, ...whose },
        { kind: "folder", path: "", ...whose },
        { kind: "file", path, at: undefined, ...whose },
        { kind: "file", path, at: text, ...whose },
        { kind: "find", query: text, ...whose },
        { kind: "peers" },
        { kind: "sent" },
      ] as const
    ) assertEquals(placeOf(hrefOf(place)), place);
  }));
});

Deno.test("an address that names no place leads home", () => {
  const bad = [
    "",
    "#",
    "#/",
    "#/nowhere",
    "#/files/../../etc/",
    "#/view/%2e%2e/secret",
    "#/view/a//b",
    "#/view/%",
    "#/view/%ff",
    "#/peer/short/files/",
    "#/peer/../files/",
  ];
  for (const hash of bad) assertEquals(placeOf(hash), HOME, hash);
  fc.assert(fc.property(fc.string(), (text) => void placeOf(`#/${text}`)));
});

Deno.test("a path has a name, a folder, and a way to it", () => {
  assertEquals([nameOf("a/b/c.txt"), parentOf("a/b/c.txt")], ["c.txt", "a/b"]);
  assertEquals([nameOf("c.txt"), parentOf("c.txt")], ["c.txt", ""]);
  assertEquals([wayTo("a/b/c"), wayTo("")], [["a", "a/b", "a/b/c"], []]);
});

Deno.test("what is not to be seen in a name is made so, and letters of all scripts stay", () => {
  assertEquals(shown("photo\u202egnp.exe"), "photo\ufffdgnp.exe");
  assertEquals(shown("two\nlines\u200b\u0007"), "two\ufffdlines\ufffd\ufffd");
  for (const name of ["Ünïcödé", "песня", "می‌خواهم", "👩‍🚀.png", "사진"]) assertEquals(shown(name), name);
});
