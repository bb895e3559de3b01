import { assertEquals } from "@std/assert";
import { formatCidr, parseCidr } from "../../../protocol/ip.ts";
import type { Rule } from "../../../protocol/rtnetlink/rule.ts";
import { RouteType } from "../../../protocol/rtnetlink/route.ts";
import { inUseRules, standingRules, supernodeRule, type TablePlan, tableRoutes } from "./plan.ts";

const cidr = (text: string) => parseCidr(text)!;
const numbers = { mark: 51_860, firstPriority: 100 };
const GATEWAY = cidr("10.201.0.1/32");

function routesOf(plan: Partial<TablePlan>): string[] {
  const routes = tableRoutes({
    table: 7,
    linkIndex: 3,
    families: [4, 6],
    inside: [],
    include: [],
    exclude: [],
    failsClosed: false,
    ...plan,
  });
  return routes.map(({ destination, type }) =>
    `${formatCidr(destination)}${type === RouteType.unreachable ? " nowhere" : ""}`
  );
}

const tables: readonly { name: string; plan: Partial<TablePlan>; routes: readonly string[] }[] = [
  { name: "everything", plan: {}, routes: ["0.0.0.0/0", "::/0"] },
  {
    name: "everything, and nowhere once the interface is gone",
    plan: { failsClosed: true },
    routes: ["0.0.0.0/0", "::/0", "0.0.0.0/0 nowhere", "::/0 nowhere"],
  },
  { name: "an exit without IPv6", plan: { families: [4] }, routes: ["0.0.0.0/0", "::/0 nowhere"] },
  {
    name: "two networks, and what is inside the tunnel, each once",
    plan: {
      include: [cidr("192.0.2.0/24"), cidr("2001:db8::/32"), cidr("192.0.2.0/24")],
      inside: [GATEWAY, GATEWAY, cidr("fd77::1/128")],
    },
    routes: ["192.0.2.0/24", "2001:db8::/32", "10.201.0.1/32", "fd77::1/128"],
  },
  {
    name: "a network in which the gateway is",
    plan: { include: [cidr("10.0.0.0/8")], inside: [GATEWAY], families: [4], failsClosed: true },
    routes: ["10.0.0.0/8", "10.0.0.0/8 nowhere"],
  },
];

for (const { name, plan, routes } of tables) {
  Deno.test(`the routes of an interface: ${name}`, () => assertEquals(routesOf(plan), routes));
}

Deno.test("rules stand in the order in which they must be asked, and each family has its own", () => {
  const interfaces = ["culvert0", "culvert1"] as const;
  const exclude = [cidr("10.0.0.0/8"), cidr("fd00::/8")];
  const text = ({ priority, table, boundTo, destination, fwmark, tcpPort, udpPort, suppressPrefixLength }: Rule) =>
    [
      priority,
      boundTo,
      destination && formatCidr(destination),
      tcpPort ?? udpPort,
      fwmark !== undefined && "unmarked",
      suppressPrefixLength === 0 && "no default",
      `→ ${table}`,
    ].filter((part) => part !== undefined && part !== false).join(" ");
  const rules = [
    ...standingRules(numbers, { family: 4, exclude, interfaces }),
    supernodeRule(numbers, { destination: cidr("203.0.113.1/32"), port: 8443 }),
    ...inUseRules(numbers, 4, 0),
    ...inUseRules(numbers, 4, 1, GATEWAY.address),
  ];
  assertEquals(rules.map(text).sort(), [
    "100 culvert0 → 51860",
    "100 culvert1 → 51861",
    "101 203.0.113.1/32 8443 → 254",
    "102 10.201.0.1/32 53 → 51861",
    "102 10.201.0.1/32 53 → 51861",
    "103 10.0.0.0/8 → 254",
    "104 no default → 254",
    "105 unmarked → 51860",
    "106 unmarked → 51861",
  ]);
  const six = standingRules(numbers, { family: 6, exclude, interfaces });
  assertEquals(six.flatMap(({ destination }) => destination ? [formatCidr(destination)] : []), ["fd00::/8"]);
});
