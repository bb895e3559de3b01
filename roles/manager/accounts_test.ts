import { assertEquals, assertRejects } from "@std/assert";
import { CulvertError } from "../../protocol/errors.ts";
import { accountOf, findAccount } from "./accounts.ts";

const PASSWD = "root:x:0:0:root:/root:/bin/bash\nculvert-kcp:x:998:997::/var/lib/culvert:/usr/sbin/nologin\n" +
  "homeless:x:5:6:::\nbroken:x:abc:1::/:\nshort:x\n+::::::\n";

Deno.test("users are found by their whole names", () => {
  const kcp = { name: "culvert-kcp", uid: 998, gid: 997, home: "/var/lib/culvert" };
  assertEquals(findAccount(PASSWD, "culvert-kcp"), kcp);
  assertEquals(findAccount(PASSWD, "homeless")?.home, "/");
  for (const name of ["culvert", "kcp", "broken", "short", "+", "", "nobody"]) {
    assertEquals(findAccount(PASSWD, name), undefined, name);
  }
});

Deno.test("this machine's users are asked, and who is none is told", async () => {
  assertEquals((await accountOf("root")).uid, 0);
  await assertRejects(() => accountOf("no-such-user"), CulvertError, "Cannot run as no-such-user");
});
