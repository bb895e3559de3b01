import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { ConfigError } from "../config.ts";
import { FakeHost } from "../fixtures/fake_host.ts";
import { main } from "../main.ts";
import { lackOfDenoRight, lackText, requireDenoRight } from "./deno_rights.ts";

/** As executables of one role have. */
const OF_ONE_ROLE = { net: true, read: true, write: true, env: true, sys: true };
const TUN = { role: "exit", what: "--tun", right: "all" } as const;

Deno.test("an executable says by what command one is made that may", () => {
  assertEquals(
    lackText(TUN, { path: "/opt/culvert-exit", madeBy: "bundle" }),
    "this executable was made without the right to --tun; make one by deno task bundle exit --allow-all",
  );
  assertStringIncludes(lackText(TUN, { path: "/opt/culvert-exit", madeBy: "compile" }), "by deno task compile exit -");
});

Deno.test("where all is granted nothing is missing", () => {
  for (const right of ["all", "libc"] as const) assertEquals(lackOfDenoRight({ ...TUN, right }), undefined);
});

Deno.test({
  name: "without foreign functions a checkout says how Deno must be started",
  permissions: OF_ONE_ROLE,
  fn() {
    for (const right of ["all", "libc"] as const) {
      assertThrows(
        () => requireDenoRight({ ...TUN, right }),
        ConfigError,
        "Cannot start exit: Deno was started without the right to --tun; start it with -A",
      );
    }
  },
});

const SUPERNODE = ["--supernode", "https://abcdefghijklmnopqrstuvwxya@192.0.2.1:8450/"];
const CREDENTIAL = `${"A".repeat(43)}.${"A".repeat(43)}`;

const rows: readonly { readonly args: readonly string[]; readonly what: string }[] = [
  { args: ["exit", "--tun", "--region", "x", ...SUPERNODE], what: "--tun" },
  { args: ["client", "--tun", ...SUPERNODE], what: "--tun" },
  { args: ["client", "--tun", "--detach", ...SUPERNODE], what: "--tun" },
  { args: ["client", "--detach", ...SUPERNODE], what: "--detach" },
  {
    args: ["supernode", "--terminate", "--region", "x", "--listen", "127.0.0.1:0", "--relay-host", "192.0.2.1"],
    what: "--terminate",
  },
  { args: ["proxy", "--path", `vtcp://${CREDENTIAL}@192.0.2.1:1/`], what: "--path vtcp:" },
  { args: ["proxy", "--path", `kcp+raw://${CREDENTIAL}@192.0.2.1:1/`], what: "--path kcp+raw:" },
];

for (const { args, what } of rows) {
  Deno.test({
    name: `${
      args.join(" ").replaceAll(CREDENTIAL, "…")
    } without foreign functions exits with 2 before anything is made`,
    permissions: OF_ONE_ROLE,
    async fn() {
      const host = new FakeHost();
      const state = await Deno.makeTempDir();
      try {
        assertEquals(await main([...args, "--state-dir", state], host), 2);
      } finally {
        await Deno.remove(state, { recursive: true });
      }
      assertStringIncludes(
        host.complaints + host.logged,
        `Cannot start ${args[0]}: Deno was started without the right to ${what}; start it with -A`,
      );
      assertEquals(host.out, "");
    },
  });
}
