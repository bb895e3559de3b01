import { assert, assertEquals } from "@std/assert";
import { type PaidTraffic, SelfDealing } from "./self_dealing.ts";

const MIB = 1024 ** 2;
const honest: PaidTraffic = {
  userId: "client",
  ownerId: "owner",
  userTelegramId: "1",
  ownerTelegramId: "2",
  clientAddress: "198.51.100.7",
  nodeAddress: "8.8.8.8",
  bytes: 300 * MIB,
};

const cases: readonly { name: string; traffic: Partial<PaidTraffic>; link: RegExp | undefined }[] = [
  { name: "strangers", traffic: {}, link: undefined },
  { name: "the owner as a client", traffic: { userId: "owner" }, link: /the client is the owner/ },
  { name: "one Telegram account", traffic: { userTelegramId: "2" }, link: /one Telegram account/ },
  { name: "neighbours in an IPv4 network", traffic: { clientAddress: "8.8.8.200" }, link: /one network/ },
  {
    name: "neighbours in an IPv6 network",
    traffic: { clientAddress: "2606:4700:10::1", nodeAddress: "2606:4700:10:5::9" },
    link: /one network/,
  },
  {
    name: "two private networks that look alike",
    traffic: { clientAddress: "10.0.0.1", nodeAddress: "10.0.0.2" },
    link: undefined,
  },
  {
    name: "people without Telegram",
    traffic: { userTelegramId: undefined, ownerTelegramId: undefined },
    link: undefined,
  },
  { name: "the owner, trying it out", traffic: { userId: "owner", bytes: 10 * MIB }, link: undefined },
];
for (const { name, traffic, link } of cases) {
  Deno.test(`${link ? "suspected" : "not suspected"}: ${name}`, () => {
    const suspicion = new SelfDealing().note({ ...honest, ...traffic }, 0);
    assertEquals(suspicion?.ownerId, link && "owner");
    if (link) assert(link.test(suspicion!.reason), suspicion!.reason);
  });
}

Deno.test("own traffic is no matter where most is of others, and is told once a day", () => {
  const dealing = new SelfDealing();
  assertEquals(dealing.note({ ...honest, bytes: 1000 * MIB }, 0), undefined);
  const own = { ...honest, userId: "owner" };
  assertEquals(dealing.note({ ...own, bytes: 900 * MIB }, 1), undefined);
  assert(dealing.note({ ...own, bytes: 200 * MIB }, 2));
  assertEquals(dealing.note({ ...own, bytes: 200 * MIB }, 3), undefined);
  assert(dealing.note(own, 86_400_000));
});
