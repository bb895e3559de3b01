import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  encodeRequestModeHead,
  parseRequestHead,
  parseResponseHead,
  type RequestModeHead,
  type ResponseModeHead,
} from "./request_mode.ts";

const REQUEST: RequestModeHead = {
  method: "POST",
  url: "https://example.net/a?b",
  headers: [["accept", "text/html"], ["x-thing", "ä"]],
  redirect: "manual",
  hasBody: true,
};
const ANSWER: ResponseModeHead = {
  status: 404,
  statusText: "Not Found",
  headers: [["set-cookie", "a=1"], ["set-cookie", "b=2"]],
  url: REQUEST.url,
  isRedirected: false,
};

Deno.test("heads are read as they were written, and what follows them is left", () => {
  const request = encodeRequestModeHead(REQUEST)!;
  const followed = new Uint8Array([...request, 1, 2, 3]);
  assertEquals(parseRequestHead(followed), { status: "done", value: REQUEST, length: request.length });
  for (const head of [ANSWER, { failure: "denied", message: "no" } as const]) {
    const bytes = encodeRequestModeHead(head)!;
    assertEquals(parseResponseHead(bytes), { status: "done", value: head, length: bytes.length });
    for (let length = 0; length < bytes.length; length++) {
      assertEquals(parseResponseHead(bytes.subarray(0, length)).status, "more");
    }
  }
});

Deno.test("a head that could change the message around it, or is too long, is none", () => {
  const rows: { name: string; change: Partial<Record<keyof RequestModeHead, unknown>> }[] = [
    { name: "a line break in a value", change: { headers: [["a", "b\r\nc: d"]] } },
    { name: "a space in a name", change: { headers: [["a b", "c"]] } },
    { name: "a line break in the method", change: { method: "GET\r\n" } },
    { name: "no method", change: { method: "" } },
    { name: "too many fields", change: { headers: Array.from({ length: 257 }, () => ["a", "b"]) } },
    { name: "redirect", change: { redirect: "maybe" } },
  ];
  for (const { name, change } of rows) {
    const bytes = encodeRequestModeHead({ ...REQUEST, ...change } as RequestModeHead)!;
    assertEquals(parseRequestHead(bytes).status, "bad", name);
  }
  assertEquals(parseRequestHead(Uint8Array.of(0, 1, 0, 1)).status, "bad");
  const longest = Array.from({ length: 3 }, (): [string, string] => ["a", "b".repeat(30_000)]);
  assertEquals(encodeRequestModeHead({ ...REQUEST, headers: longest }), undefined);
});

Deno.test("no bytes make a parser throw, nor does any change to a head", () => {
  const valid = encodeRequestModeHead(REQUEST)!;
  fc.assert(fc.property(fc.nat(valid.length - 1), fc.nat(255), (at, value) => {
    const changed = valid.slice();
    changed[at] = value;
    parseRequestHead(changed);
    parseResponseHead(changed);
  }));
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (any) => {
    parseRequestHead(any);
    parseResponseHead(any);
    parseRequestHead(new Uint8Array([0, 0, 0, any.length, ...any]));
  }));
});
