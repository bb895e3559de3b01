import { assertEquals } from "@std/assert";
import { z } from "zod";
import { startHost, startRelay } from "../../net/peers/fixtures/peer_world.ts";
import type { DialError } from "../../protocol/errors.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { defineRole, startRole } from "../role.ts";
import { type Listing, openNetwork } from "./open_network.ts";

/** What comes of reaching a peer whose relay is on this machine, with a tracker that is elsewhere. */
async function reached(listing: Partial<Listing>): Promise<string> {
  using temp = new TempDirectory();
  await using relay = startRelay();
  await using host = startHost({ listens: false, relays: [relay] });
  await host.met();
  let outcome = "";
  const role = defineRole({
    ...{ name: "test", summary: "", examples: [], config: z.object({}), longRunning: false },
    async run(_config, context) {
      const settings = { tracker: [new URL("http://192.0.2.1/")], caFile: undefined };
      await using network = await openNetwork(settings, { action: "test", ...listing }, context);
      const connecting = network.peers.connect(host.card());
      outcome = await connecting.then(({ way }) => way, (error: DialError) => error.code);
    },
  });
  await startRole(role, {}, { stateDir: temp.path("state") }).done;
  return outcome;
}

Deno.test("a relay that a stranger names leads into no private network, unless we were told to be there", async () => {
  assertEquals(await reached({}), "denied");
  assertEquals(await reached({ near: ["http://127.0.0.1:1/"] }), "relayed");
});
