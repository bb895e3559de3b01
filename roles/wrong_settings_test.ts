import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { FakeHost } from "./fixtures/fake_host.ts";
import { main } from "./main.ts";

const ANYWHERE = ["--listen", "0.0.0.0:0"];
const NOT_PEM = import.meta.filename!;

const rows: readonly { name: string; args: readonly string[]; says: string }[] = [
  { name: "a proxy open to others", args: ["proxy", ...ANYWHERE], says: "give --user name:password, or --open" },
  { name: "a tunnel open to others", args: ["tunnel", ...ANYWHERE], says: "give a token (CULVERT_TOKEN), or --open" },
  {
    name: "up on an address that others reach",
    args: ["up", ...ANYWHERE],
    says: "--listen must be an address of this",
  },
  {
    name: "a part that up does not have",
    args: ["up", "--kill", "exit-9"],
    says: "--kill must be a part such as exit-1",
  },
  { name: "a kill at no time", args: ["up", "--kill", "exit-1@soon"], says: "exit-1@10s for ten seconds" },
  { name: "half a certificate", args: ["tunnel", "--cert-file", "x"], says: "must be given together" },
  {
    name: "a certificate that is not there",
    args: ["tunnel", "--cert-file", "/nonexistent", "--key-file", "y"],
    says: "--cert-file must be a file that can be read",
  },
  {
    name: "a certificate that is none",
    args: ["tunnel", "--cert-file", NOT_PEM, "--key-file", NOT_PEM],
    says: "--cert-file must be a file in PEM",
  },
  { name: "trust in nothing", args: ["proxy", "--ca-file", NOT_PEM], says: "--ca-file must be a file in PEM" },
  { name: "a path of no known kind", args: ["proxy", "--path", "wss://hush@x/"], says: "--path must be a URL that" },
  { name: "a tunnel to nowhere", args: ["proxy", "--path", "tunnel+wss://hush@"], says: "--path is of no use" },
  {
    name: "a server's URL with a setting that nobody knows",
    args: ["kcp", "client", "--server", "kcp+udp://hush@x:1/?lonks=2"],
    says: "--server is of no use",
  },
  {
    name: "a gateway that is no hardware address",
    args: ["kcp", "client", "--server", "kcp+raw://hush@192.0.2.7:1/?gateway=zz"],
    says: "must have gateway as a hardware address",
  },
  {
    name: "a credential that is none",
    args: ["vtcp", "client", "--server", "vtcp://hush@x:1/"],
    says: "--server is of no use. Cannot use a credential",
  },
  { name: "direct: to somewhere", args: ["proxy", "--path", "direct:hush"], says: "must stand alone" },
  {
    name: "a token of administrators that can be guessed",
    args: ["supernode", "--region", "north", "--admin-token", "hush-hush-hush"],
    says: "at least 16 characters",
  },
  { name: "a misspelt path flag", args: ["proxy", "--paht", "tunnel+wss://hush@x/"], says: "did you mean --path?" },
];

for (const { name, args, says } of rows) {
  Deno.test(`${name} exits with 2, says why and tells no secret`, async () => {
    const host = new FakeHost();
    assertEquals(await main(args, host), 2);
    const said = host.complaints + host.logged + host.out;
    assertStringIncludes(said, says);
    assert(!said.includes("hush"), said);
  });
}
