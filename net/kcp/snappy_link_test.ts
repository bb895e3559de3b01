import { assertEquals, assertStringIncludes } from "@std/assert";
import type { CulvertError } from "../../protocol/errors.ts";
import { SnappyScratch } from "../../protocol/packet_layer/snappy_frames.ts";
import type { Link, LinkHandlers } from "../link.ts";
import { SnappyLink } from "./snappy_link.ts";

/** Does what a test has it do. */
class HandLink implements Link {
  handlers!: LinkHandlers;
  idle = true;
  closes = 0;

  start(handlers: LinkHandlers): void {
    this.handlers = handlers;
  }

  wake(): void {}

  resume(): void {}

  close(): void {
    this.closes++;
    this.handlers.onClose(undefined);
  }

  [Symbol.dispose](): void {}
}

function open(text = new Uint8Array(0)) {
  const under = new HandLink();
  const link = new SnappyLink(under, new SnappyScratch());
  const heard: number[] = [];
  const errors: unknown[] = [];
  let sent = 0;
  link.start({
    fill: (into) => {
      const part = text.subarray(sent, sent + into.length);
      into.set(part);
      sent += part.length;
      return part.length;
    },
    onBytes: (bytes) => heard.push(...bytes),
    wantsBytes: () => true,
    onClose: (error) => errors.push(error),
  });
  return { under, link, heard, errors };
}

Deno.test("bytes are the same at the other end, and none is idle while some are held", () => {
  const text = crypto.getRandomValues(new Uint8Array(1000));
  const near = open(text);
  const far = open();
  const into = new Uint8Array(100);
  for (let count; (count = near.under.handlers.fill(into)) > 0;) {
    far.under.handlers.onBytes(into.subarray(0, count));
    if (far.heard.length === 0) assertEquals(near.link.idle, false);
  }
  assertEquals([Uint8Array.from(far.heard), near.link.idle], [text, true]);
});

Deno.test("a stream that is no Snappy ends the link once, says so, and nothing of what follows is heard", () => {
  const { under, heard, errors } = open();
  under.handlers.onBytes(Uint8Array.of(1, 0, 0, 0, 3, 0, 0, 0));
  under.handlers.onBytes(Uint8Array.of(0xff, 6, 0, 0, 0x73, 0x4e, 0x61, 0x50, 0x70, 0x59));
  assertEquals([under.closes, errors.length, heard], [1, 1, []]);
  assertEquals((errors[0] as CulvertError).code, "bad_stream");
  assertStringIncludes((errors[0] as Error).message, "does one end compress and the other not?");
});

Deno.test("an end of the link without a fault stays one", () => {
  const { under, errors } = open();
  under.close();
  assertEquals(errors, [undefined]);
});
