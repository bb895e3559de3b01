/**
 * Every kind of NAT in front of the client and every kind in front of the exit: the way is direct where two such can be
 * opened to each other, and by the relay where they cannot, and there is one in either case.
 *
 *   one supernode, four exits and four clients behind a NAT of each kind; the exits are told apart by their region
 */

import { assertEquals } from "@std/assert";
import { NO_WAY } from "../../roles/packets/direct_upgrade.ts";
import { canPunch, NAT_KINDS } from "../../testing/nat_kinds.ts";
import { eventually } from "../../testing/waiting.ts";
import { scenario } from "./fixtures/scenario.ts";
import { clientName, DEFAULT_NAT, exitName, setNat } from "./fixtures/topology.ts";
import type { Vpn } from "./fixtures/vpn.ts";

const OPTIONS = {
  exits: NAT_KINDS.length,
  clients: NAT_KINDS.length,
  supernodes: 1,
  regionOf: (exit: number) => NAT_KINDS[exit]!,
} as const;

scenario(
  "NAT grid: direct where both NATs let it be, by the relay elsewhere, never nothing",
  OPTIONS,
  async (vpn, test) => {
    const { clients, exits } = vpn.topology;
    for (const [index, kind] of NAT_KINDS.entries()) {
      for (const place of [clients[index]!, exits[index]!]) await setNat(place, kind);
    }
    for (const [exit, there] of NAT_KINDS.entries()) {
      // Those of one row at once: each has its own client, and they have the exit in common.
      const row = NAT_KINDS.map(async (here, client) => {
        await vpn.startClient([], { client, region: there });
        const way = await wayFound(vpn, { client, exit, isDirect: canPunch(here, there) });
        assertEquals(await vpn.exitInUse({ client }), exit);
        assertEquals(await vpn.stopRole(clientName(client)), 0);
        return { here, way };
      });
      const found = await Promise.all(row);
      for (const { here, way } of found) {
        await test.step(`${here} to ${there}: ${canPunch(here, there) ? "direct" : "by the relay"}`, () => {
          assertEquals(way, canPunch(here, there) ? [exits[exit]!.v4] : [vpn.topology.supernodes[0].v4]);
        });
      }
    }
    for (const place of [...clients, ...exits]) await setNat(place, DEFAULT_NAT);
  },
);

interface Cell {
  readonly client: number;
  readonly exit: number;
  readonly isDirect: boolean;
}

/** Whom the client sends to once it has found what there is to find. */
async function wayFound(vpn: Vpn, { client, exit, isDirect }: Cell): Promise<string[]> {
  const { exits } = vpn.topology;
  await vpn.exitInUse({ client });
  let way: string[] = [];
  if (isDirect) {
    await eventually(`${clientName(client)} sends to ${exitName(exit)} directly`, async () => {
      way = await vpn.wayOf({ client });
      return way.length === 1 && way[0] === exits[exit]!.v4;
    });
    return way;
  }
  await vpn.logged(clientName(client), NO_WAY);
  return await vpn.wayOf({ client });
}
