import { assertEquals } from "@std/assert";
import fc from "fast-check";
import type { z } from "zod";
import {
  byteSize,
  cidr,
  directoryPath,
  durationMs,
  filePath,
  hostName,
  listenAddress,
  pathUrl,
  portRange,
  secret,
  targetAddress,
} from "./fields.ts";

const REFUSED = Symbol("refused");

function parse(schema: z.ZodType, input: unknown): unknown {
  const parsed = schema.safeParse(input);
  return parsed.success ? parsed.data : REFUSED;
}

Deno.test("fields turn what people type into what programs use", async (t) => {
  const rows: { field: string; schema: z.ZodType; cases: [unknown, unknown][] }[] = [
    {
      field: "listenAddress",
      schema: listenAddress("127.0.0.1:1080"),
      cases: [
        [undefined, { host: "127.0.0.1", port: 1080 }],
        [":0", { host: "0.0.0.0", port: 0 }],
        ["[::1]:53", { host: "::1", port: 53 }],
        ["localhost:65535", { host: "localhost", port: 65535 }],
        ["localhost:65536", REFUSED],
        ["localhost", REFUSED],
        ["::1:53", REFUSED],
        ["", REFUSED],
        [1080, REFUSED],
      ],
    },
    {
      field: "targetAddress",
      schema: targetAddress(undefined, { defaultPort: 443 }),
      cases: [["a.example", { host: "a.example", port: 443 }], ["a:1", { host: "a", port: 1 }], [undefined, REFUSED]],
    },
    {
      field: "hostName",
      schema: hostName(),
      cases: [
        ["sn.example", "sn.example"],
        ["192.0.2.1", "192.0.2.1"],
        ["2001:db8::1", "2001:db8::1"],
        ["[2001:db8::1]", "2001:db8::1"],
        ["sn.example:443", REFUSED],
        ["https://sn.example", REFUSED],
        ["", REFUSED],
      ],
    },
    {
      field: "cidr",
      schema: cidr("10.200.0.0/16"),
      cases: [
        [undefined, { address: new Uint8Array([10, 200, 0, 0]), bits: 16 }],
        ["192.0.2.7/24", { address: new Uint8Array([192, 0, 2, 0]), bits: 24 }],
        ["192.0.2.7", { address: new Uint8Array([192, 0, 2, 7]), bits: 32 }],
        ["192.0.2.7/33", REFUSED],
        ["here", REFUSED],
      ],
    },
    {
      field: "portRange",
      schema: portRange("40000-49999"),
      cases: [
        [undefined, { first: 40_000, last: 49_999 }],
        ["1024", { first: 1024, last: 1024 }],
        ["40000-65535", { first: 40_000, last: 65_535 }],
        ["1023-2000", REFUSED],
        ["50000-40000", REFUSED],
        ["40000-65536", REFUSED],
        ["40000-", REFUSED],
        ["", REFUSED],
      ],
    },
    {
      field: "durationMs",
      schema: durationMs("10s", { maxMs: 86_400_000 }),
      cases: [
        [undefined, 10_000],
        ["0", 0],
        ["500ms", 500],
        ["1.5s", 1500],
        ["1h30m", 5_400_000],
        ["1d", 86_400_000],
        ["2d", REFUSED],
        ["30", REFUSED],
        ["-1s", REFUSED],
        ["1 s", REFUSED],
        ["1e3s", REFUSED],
        ["9".repeat(400) + "s", REFUSED],
      ],
    },
    { field: "durationMs of at least", schema: durationMs("2s", { minMs: 1000 }), cases: [["999ms", REFUSED]] },
    { field: "durationMs for a timer", schema: durationMs("2s"), cases: [["24d", 2_073_600_000], ["25d", REFUSED]] },
    {
      field: "byteSize",
      schema: byteSize("2MiB", { minBytes: 2 }),
      cases: [
        [undefined, 2_097_152],
        ["1500", 1500],
        ["64KiB", 65_536],
        ["64 kib", 65_536],
        ["10MB", 10_000_000],
        ["1.5GiB", 1_610_612_736],
        ["1", REFUSED],
        ["1XB", REFUSED],
        ["KiB", REFUSED],
        ["9999999999999999TiB", REFUSED],
      ],
    },
    { field: "filePath", schema: filePath(), cases: [["a b", "a b"], ["", REFUSED], ["a\0", REFUSED]] },
    { field: "directoryPath", schema: directoryPath("/tmp"), cases: [[undefined, "/tmp"]] },
    { field: "secret", schema: secret(), cases: [["x", "x"], ["", REFUSED], [undefined, REFUSED]] },
    {
      field: "pathUrl",
      schema: pathUrl("direct:", { schemes: ["direct", "tunnel+wss"] }),
      cases: [
        [undefined, new URL("direct:")],
        ["tunnel+wss://h/p", new URL("tunnel+wss://h/p")],
        ["https://h", REFUSED],
        ["h", REFUSED],
      ],
    },
  ];
  for (const { field, schema, cases } of rows) {
    await t.step(field, () => {
      for (const [input, want] of cases) assertEquals(parse(schema, input), want, `${field}(${String(input)})`);
    });
  }
});

Deno.test("fields survive any text", () => {
  const schemas = [listenAddress(), targetAddress(), durationMs(), byteSize(), filePath(), secret(), pathUrl()];
  const text = fc.oneof(fc.string({ unit: "binary" }), fc.stringMatching(/^[\d.]{1,30}(ms|[smhdKMGiB]{0,3})$/));
  fc.assert(fc.property(text, fc.constantFrom(...schemas), (text, schema) => {
    const value = parse(schema, text);
    if (typeof value === "number") assertEquals(Number.isSafeInteger(value) && value >= 0, true);
  }));
});
