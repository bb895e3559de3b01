import { assert, assertEquals, assertLess, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import { markdownDocumentSchema, type MarkdownElement, type MarkdownNode } from "../../protocol/files/markdown_tree.ts";
import { GUEST, SharedFolder } from "./fixtures/shared_folder.ts";
import { readMarkdown, resolveLink } from "./markdown.ts";
import { writePage } from "./markdown_page.ts";

function nodesOf(text: string, path = "docs/page.md"): readonly MarkdownNode[] {
  return readMarkdown(text, path).nodes;
}

Deno.test("markdown: what people write", () => {
  assertEquals(nodesOf("# One *two*\n\nthree `4`  \nfive\nsix ~~7~~"), [
    { tag: "h1", id: "one-two", children: ["One ", { tag: "em", children: ["two"] }] },
    {
      tag: "p",
      children: [
        "three ",
        { tag: "code", children: ["4"] },
        { tag: "br" },
        "five\nsix ",
        { tag: "del", children: ["7"] },
      ],
    },
  ]);
  assertEquals(nodesOf("3. a\n4. b"), [
    { tag: "ol", start: 3, children: [{ tag: "li", children: ["a"] }, { tag: "li", children: ["b"] }] },
  ]);
  assertEquals(nodesOf("```ts x\nlet a;\n```\n\n    b\n\n---"), [
    { tag: "pre", children: [{ tag: "code", language: "ts", children: ["let a;\n"] }] },
    { tag: "pre", children: [{ tag: "code", children: ["b\n"] }] },
    { tag: "hr" },
  ]);
  const [table] = nodesOf("|a|b|\n|-|-:|\n|1|2|") as [MarkdownElement];
  assertEquals(table.children![1], {
    tag: "tbody",
    children: [{
      tag: "tr",
      children: [{ tag: "td", children: ["1"] }, { tag: "td", align: "right", children: ["2"] }],
    }],
  });
});

Deno.test("markdown: headings of the same words are told apart, the first gives the title", () => {
  const { nodes, title } = readMarkdown("Intro\n\n## A *b*!\n\n## A b\n\n## !", "x.md");
  assertEquals(nodes.slice(1).map((node) => (node as MarkdownElement).id), ["a-b", "a-b-1", "section"]);
  assertEquals(title, "A b!");
  assertEquals(readMarkdown("no heading", "a/b.md").title, "b.md");
});

const links: readonly { readonly href: string; readonly leads: ReturnType<typeof resolveLink> }[] = [
  { href: "b.md", leads: { path: "docs/b.md" } },
  { href: "./b%20c.md#two", leads: { path: "docs/b c.md", fragment: "two" } },
  { href: "../a.png", leads: { path: "a.png" } },
  { href: "/a.png", leads: { path: "a.png" } },
  { href: "deep/", leads: { path: "docs/deep" } },
  { href: "..", leads: { path: "" } },
  { href: "b.md?raw", leads: { path: "docs/b.md" } },
  { href: "#here", leads: { fragment: "here" } },
  { href: "https://example.com/a?b#c", leads: { url: "https://example.com/a?b#c" } },
  { href: "mailto:a@example.com", leads: { url: "mailto:a@example.com" } },
  { href: "../../a", leads: undefined },
  { href: "/../a", leads: undefined },
  { href: "%2e%2e/%2e%2e/a", leads: undefined },
  { href: "a%2fb", leads: undefined },
  { href: "a\\b", leads: undefined },
  { href: "a%00", leads: undefined },
  { href: "%c0%ae", leads: undefined },
  { href: "//example.com/a", leads: undefined },
  { href: "javascript:alert(1)", leads: undefined },
  { href: "JaVaScRiPt:alert(1)", leads: undefined },
  { href: "data:text/html,x", leads: undefined },
  { href: "vbscript:x", leads: undefined },
  { href: "file:///etc/passwd", leads: undefined },
  { href: "blob:x", leads: undefined },
  { href: "ftp://example.com", leads: undefined },
  { href: "", leads: undefined },
];

for (const { href, leads } of links) {
  Deno.test(`markdown: a link to "${href}"`, () => assertEquals(resolveLink(href, "docs/page.md"), leads));
}

Deno.test("markdown: its links within the folder are told, each once; pictures from elsewhere are links", () => {
  const text =
    "[one](a.md) [two](a.md#x) [*three*](../b.md) [no](https://e.com) ![p](p.png) ![far](https://e.com/p.png)";
  const { links, nodes } = readMarkdown(text, "docs/page.md");
  assertEquals(links, [{ path: "docs/a.md", text: "one" }, { path: "b.md", text: "three" }]);
  const images = (nodes[0] as MarkdownElement).children!.filter((node) => typeof node !== "string").slice(-2);
  assertEquals(images[0], { tag: "img", path: "docs/p.png", alt: "p", children: [] });
  assertEquals(images[1], { tag: "a", url: "https://e.com/p.png", children: ["far"] });
});

/** Ways in which others were made to run what was only to be shown. */
const attacks = [
  "<script>alert(1)</script>",
  "<img src=x onerror=alert(1)>",
  "<svg/onload=alert(1)>",
  "<iframe srcdoc='<script>alert(1)</script>'>",
  "<style>@import '//e.com'</style>",
  "<a href='javascript:alert(1)'>x</a>",
  "<!--><script>alert(1)</script>-->",
  "<base href=//e.com>",
  "<meta http-equiv=refresh content='0;//e.com'>",
  "[x](javascript:alert(1))",
  "[x](JAVASCRIPT&colon;alert(1))",
  "[x](&#106;avascript:alert(1))",
  "[x](java\tscript:alert(1))",
  "[x](<javascript:alert(1)>)",
  "[x](data:text/html;base64,PHNjcmlwdD4=)",
  "[x]: javascript:alert(1)\n\n[x]",
  "![x](javascript:alert(1))",
  '![x](a.png "onload=alert(1)")',
  '![" onerror="alert(1)](a.png)',
  '[x](a.md "\\"><script>alert(1)</script>")',
  '[x](a"onclick="alert(1).md)',
  "<javascript:alert(1)>",
  '<https://e.com/"onmouseover=alert(1)>',
  'https://e.com/"><script>alert(1)</script>',
  "`<script>alert(1)</script>`",
  '```"><script>\n</code></pre><script>alert(1)</script>\n```',
  "# <script>alert(1)</script>",
  '# " onclick=alert(1)',
  '|<script>|\n|-|\n|"><svg onload=alert(1)>|',
  "1. <details open ontoggle=alert(1)>",
  '[a](#"><script>alert(1)</script>)',
  "&lt;script&gt;alert(1)&lt;/script&gt;",
  "\u0000<script>alert(1)</script>",
];

/** All that a page may consist of: tags of the list, with attributes of the list, each in quotes. */
const TAG = /<(\/?)([a-z][a-z0-9]*)((?: [a-z-]+="[^"<>]*")*)>/g;
const SHOWN = new Set(
  "a blockquote br code del em h1 h2 h3 h4 h5 h6 hr img li ol p pre strong table tbody td th thead tr ul".split(" "),
);
const ATTRIBUTES = new Set(["href", "src", "rel", "alt", "title", "id", "start", "data-align", "loading"]);

function assertHarmless(text: string, path = "docs/page.md"): void {
  const document = readMarkdown(text, path);
  markdownDocumentSchema.parse(document);
  const page = writePage(document);
  const main = page.slice(page.indexOf("<main>") + 6, page.indexOf("</main>"));
  const left = main.replace(TAG, (_tag, _slash, name: string, attributes: string) => {
    assert(SHOWN.has(name), `<${name}> of ${text}`);
    for (const [, attribute, value] of attributes.matchAll(/ ([a-z-]+)="([^"]*)"/g)) {
      assert(ATTRIBUTES.has(attribute!), `${attribute} of ${text}`);
      if (attribute === "src" || attribute === "href") {
        assert(/^(?:https?:\/\/|mailto:|\.|#)/i.test(value!), `${attribute}=${value} of ${text}`);
      }
    }
    return "";
  });
  assert(!/[<>]/.test(left), `${left} of ${text}`);
}

Deno.test("markdown: what is written to run is shown", () => {
  for (const text of attacks) assertHarmless(text);
  assertHarmless("x", `docs/"><script>alert(1)<!--/page'".md`);
  assertStringIncludes(writePage(readMarkdown("x", `"><b>.md`)), "<title>&#34;&#62;&#60;b&#62;.md</title>");
});

Deno.test("markdown: whatever it is made of, only what is on the list comes out", () => {
  const piece = fc.oneof(
    fc.constantFrom(
      ...attacks,
      "\n",
      "\n\n",
      "    ",
      "> ",
      "- ",
      "1. ",
      "|",
      "[",
      "](",
      ")",
      "![",
      "`",
      "```",
      "*",
      "**",
      "~~",
      "#",
      "<",
      ">",
      '"',
      "'",
      "&",
      "\\",
    ),
    fc.string({ maxLength: 8 }),
  );
  const text = fc.array(piece, { maxLength: 25 }).map((pieces) => pieces.join(""));
  fc.assert(fc.property(text, (markdown) => assertHarmless(markdown)), { numRuns: 300 });
});

Deno.test("markdown: texts made to be slow are not", () => {
  const texts = [
    "[",
    "[a](",
    "*a **a ",
    "`",
    "> ",
    "![[](",
    "<",
    "a_b",
    "[x]: ",
    "|a",
    "- ",
    "\\",
    "https://e.com/(",
    "&#",
  ];
  for (const text of texts) {
    const startMs = performance.now();
    readMarkdown(text.repeat(Math.floor(100_000 / text.length)), "a.md");
    assertLess(performance.now() - startMs, 5000, text);
  }
});

Deno.test("markdown: as JSON, to those who may see the file", async () => {
  await using shared = new SharedFolder({ "docs/a.md": "[b](b.md)", "b.txt": "", "long.md": "x".repeat(600_000) });
  const response = await shared.ask("/api/markdown/docs/a.md");
  const document = markdownDocumentSchema.parse(await response.json());
  assertEquals(document.links, [{ path: "docs/b.md", text: "b" }]);
  const headers = { "if-none-match": response.headers.get("etag")! };
  assertEquals((await shared.ask("/api/markdown/docs/a.md", { headers })).status, 304);
  const statuses: readonly (readonly [string, number])[] = [["b.txt", 404], ["docs", 404], ["none.md", 404], [
    "long.md",
    413,
  ]];
  for (const [path, status] of statuses) assertEquals((await shared.ask(`/api/markdown/${path}`)).status, status, path);
  assertEquals((await shared.ask("/api/markdown/docs/a.md", {}, { ...GUEST, scope: "other" })).status, 404);
  const asPage = await shared.ask("/content/long.md", { headers: { accept: "text/html" } });
  assertEquals(asPage.headers.get("content-type"), "text/markdown; charset=utf-8");
  await asPage.body?.cancel();
});

Deno.test("markdown: its page says where it is, by links that hold behind any other server", () => {
  const page = writePage(readMarkdown("[up](../x.md) [down](e/f.md)", "a b/c/page.md"));
  assertStringIncludes(
    page,
    '<li><a href="../../">Shared folder</a></li><li><a href="../">a b</a></li><li><a href="./">c</a></li>',
  );
  assertStringIncludes(page, '<a href="../../a%20b/x.md">up</a>');
  assertStringIncludes(page, '<a href="../../a%20b/c/e/f.md">down</a>');
});
