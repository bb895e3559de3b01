import { assertEquals } from "@std/assert";
import { formatCidr } from "../../protocol/ip.ts";
import { parseQuickConfig } from "../../protocol/wireguard/quick_config.ts";
import { planRoutes } from "./routing.ts";

const KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";

function plan(
  lines: string,
  ...allowed: readonly string[]
): { routes: string[]; table: number | undefined; defaults: number[] } {
  const peers = allowed.map((ips) => `[Peer]\nPublicKey = ${KEY}\nAllowedIPs = ${ips}\n`);
  const { routes, table, defaults } = planRoutes(parseQuickConfig(`[Interface]\n${lines}\n${peers.join("")}`));
  return { routes: routes.map(formatCidr), table, defaults: [...defaults] };
}

const rows: readonly { name: string; got: () => unknown; want: unknown }[] = [
  {
    name: "routes are the most particular first, and one of a kind",
    got: () => plan("", "10.0.0.0/8, 10.1.0.0/16", "10.1.0.0/16, fd00::/8"),
    want: { routes: ["10.1.0.0/16", "10.0.0.0/8", "fd00::/8"], table: undefined, defaults: [] },
  },
  {
    name: "what the interface's address reaches needs no route",
    got: () =>
      plan("Address = 10.0.0.1/24, fd00::1/64", "10.0.0.2/32, 10.0.0.0/24, 10.0.0.0/16, fd00::2/128, 10.0.1.0/24"),
    want: { routes: ["10.0.1.0/24", "10.0.0.0/16"], table: undefined, defaults: [] },
  },
  {
    name: "default routes stand apart, by family",
    got: () => plan("", "::/0, 0.0.0.0/0, 10.0.0.0/8"),
    want: { routes: ["10.0.0.0/8"], table: undefined, defaults: [4, 6] },
  },
  {
    name: "Table = off has none",
    got: () => plan("Table = off", "0.0.0.0/0"),
    want: { routes: [], table: undefined, defaults: [] },
  },
  {
    name: "a table of one's own takes all, default routes too",
    got: () => plan("Table = 1234\nAddress = 10.0.0.1/24", "0.0.0.0/0, 10.0.0.2/32"),
    want: { routes: ["10.0.0.2/32", "0.0.0.0/0"], table: 1234, defaults: [] },
  },
];

for (const { name, got, want } of rows) Deno.test(name, () => assertEquals(got(), want));
