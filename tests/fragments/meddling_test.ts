/**
 * Relays that do to fragments whatever they like. What comes out at the ends is what went in, or nothing.
 *
 *   test ─ SOCKS5 ─▶ proxy ⇉ meddlers ⇉ 3 upstreams ⇉ central ─▶ test's own target, and back by 3 downstreams
 */

import { assert } from "@std/assert";
import { untilReachable } from "../../testing/socks_client.ts";
import { CheckedTarget, download, upload } from "../fixtures/checked_target.ts";
import {
  changer,
  doubled,
  dropped,
  everyNth,
  type FragmentMeddle,
  meddleWithFragments,
  replayer,
  shuffler,
} from "../fixtures/fragment_meddling.ts";
import { FragmentNetwork } from "../fixtures/relay_network.ts";

const BYTES = 3_000_000;

interface Case {
  readonly name: string;
  /** One for each relay, which may remember. */
  make(): FragmentMeddle;
  /** Only the first of each kind. */
  readonly isOneOnly?: boolean;
}

const cases: readonly Case[] = [
  { name: "every relay changes a byte of each tenth fragment", make: () => everyNth(10, changer()) },
  { name: "one upstream and one downstream change every fragment", make: changer, isOneOnly: true },
  { name: "every relay drops each tenth fragment", make: () => everyNth(10, dropped) },
  { name: "one upstream and one downstream drop every fragment", make: () => dropped, isOneOnly: true },
  { name: "every relay doubles every fragment", make: () => doubled },
  { name: "every relay replays every fragment", make: replayer },
  { name: "every relay puts fragments out of order", make: shuffler },
];

Deno.test("what relays do to fragments is repaired, and never delivered", async (test) => {
  await using target = new CheckedTarget();
  await using network = await FragmentNetwork.start();
  for (const { name, make, isOneOnly = false } of cases) {
    await test.step(name, async () => {
      // One who has not found out yet which relays are bad.
      const { role, at } = await network.network.startProxy(network.url);
      await untilReachable(at, target.address);
      let meddled = 0;
      const bad = isOneOnly ? [network.upstreams[0]!, network.downstreams[0]!] : network.relays;
      for (const relay of bad) {
        const meddle = make();
        meddleWithFragments(relay, (fragment) => {
          meddled++;
          return meddle(fragment);
        });
      }
      await download(at, target.address, { bytes: BYTES });
      await upload(at, target.address, { bytes: BYTES });
      for (const { meddler } of network.relays) meddler.meddle = (message) => [message];
      assert(meddled > (isOneOnly ? 5 : 100), `${meddled} fragments passed those who meddled`);
      await role.program.stop();
    });
  }
});
