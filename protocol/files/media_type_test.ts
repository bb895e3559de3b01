import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { contentDisposition } from "./content_disposition.ts";
import { contentPolicyOf, contentTypeOf, isMarkdown, mediaTypeOf } from "./media_type.ts";

Deno.test("types: by the end of the name, in any letters", () => {
  const table = {
    "a.txt": "text/plain",
    "A.TXT": "text/plain",
    "folder.d/b.MP4": "video/mp4",
    "c.tar.gz": "application/gzip",
    "d.html": "text/html",
    "README.md": "text/markdown",
    "e": "application/octet-stream",
    "e.": "application/octet-stream",
    ".md": "application/octet-stream",
    "folder/.md": "application/octet-stream",
    "x.constructor": "application/octet-stream",
    "x.__proto__": "application/octet-stream",
  };
  for (const [name, type] of Object.entries(table)) assertEquals(mediaTypeOf(name), type, name);
  assertEquals(contentTypeOf("a.txt"), "text/plain; charset=utf-8");
  assertEquals(contentTypeOf("a.json"), "application/json; charset=utf-8");
  assertEquals(contentTypeOf("a.png"), "image/png");
  assert(isMarkdown("a/b.md") && !isMarkdown("a.md.txt"));
});

Deno.test("types: what could run has no origin, what is played keeps it, and nothing has scripts", () => {
  for (const name of ["a.html", "a.xhtml", "a.svg", "a.xml", "a.js", "a.txt", "a"]) {
    assert(contentPolicyOf(mediaTypeOf(name)).endsWith("; sandbox"), name);
  }
  for (const name of ["a.mp4", "a.png", "a.mp3", "a.pdf"]) {
    assert(!contentPolicyOf(mediaTypeOf(name)).includes("sandbox"), name);
  }
  for (const name of ["a.html", "a.mp4", "a.pdf"]) {
    const policy = contentPolicyOf(mediaTypeOf(name));
    assertStringIncludes(policy, "default-src 'none'");
    assert(!policy.includes("script-src"));
  }
});

Deno.test("names: in a header of their own, whatever they are made of", () => {
  const table = {
    "a b.txt": 'attachment; filename="a b.txt"',
    "façade.txt": "attachment; filename=\"fa_ade.txt\"; filename*=UTF-8''fa%C3%A7ade.txt",
    'a"b\\c%d.txt': "attachment; filename=\"a_b_c_d.txt\"; filename*=UTF-8''a%22b%5Cc%25d.txt",
    "a\r\nset-cookie: x": "attachment; filename=\"a__set-cookie: x\"; filename*=UTF-8''a%0D%0Aset-cookie%3A%20x",
    "😀.gif": "attachment; filename=\"_.gif\"; filename*=UTF-8''%F0%9F%98%80.gif",
    "(it's)*.txt": 'attachment; filename="(it\'s)*.txt"',
    "(é)*'.txt": "attachment; filename=\"(_)*'.txt\"; filename*=UTF-8''%28%C3%A9%29%2A%27.txt",
  };
  for (const [name, header] of Object.entries(table)) assertEquals(contentDisposition("attachment", name), header);
  new Headers({ "content-disposition": contentDisposition("inline", "\ud800\n\0é") });
});
