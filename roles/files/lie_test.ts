import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { clockOf } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { eventually } from "../../testing/waiting.ts";
import { role as peerRole } from "../peer.ts";
import { startRole } from "../role.ts";
import { getRole } from "./get.ts";
import { KnownLiars } from "./known_liars.ts";
import { askPeer } from "./peer_control.ts";
import { shareRole } from "./share.ts";

const LONG_AGO = new Date(Date.UTC(2020, 0, 1));
const BYTES = 3 * 1024 * 1024;

/** In the same file, of the same length and time: no look at the folder shows it. */
function put(path: string, byte: number): void {
  Deno.writeFileSync(path, new Uint8Array(BYTES).fill(byte));
  Deno.utimeSync(path, LONG_AGO, LONG_AGO);
}

Deno.test("a peer that sends bytes which are not those of the hash is dropped, remembered and asked for nothing more", async () => {
  using temp = new TempDirectory();
  const tools = { clock: clockOf(globalThis), signal: new AbortController().signal };
  const [alice, bob, folder] = [temp.path("alice"), temp.path("bob"), temp.path("shared")];
  Deno.mkdirSync(folder);
  put(`${folder}/film`, 1);
  const config = peerRole.config.parse({ folder, listen: "127.0.0.1:0", relays: false, readOnly: true });
  await using peer = startRole(peerRole, config, { stateDir: alice });
  await peer.ready;
  const report = () => askPeer({ ...tools, stateDir: alice });
  await eventually("it is in the index", async () => (await report()).index.pending === 0);
  const { peerId } = (await report()).card;
  const lines: string[] = [];
  const wish = shareRole.config.parse({ path: "film" });
  await startRole(shareRole, wish, { stateDir: alice, json: true, print: (line) => lines.push(line) }).done;
  const { ticket } = JSON.parse(lines.at(-1)!);
  put(`${folder}/film`, 2);
  const out = temp.path("film");
  const fetching = () => {
    const settings = getRole.config.parse({ who: ticket, out });
    return startRole(getRole, settings, { stateDir: bob, json: true, print: (line) => lines.push(line) }).done;
  };
  await assertRejects(fetching, CulvertError);
  assertStringIncludes(lines.join("\n"), JSON.stringify({ event: "lied", peerId }));
  const liars = await (await KnownLiars.open({ ...tools, stateDir: bob })).list();
  assertEquals(liars.map((liar) => liar.peerId), [peerId]);
  assertEquals(await Deno.stat(out).catch(() => "nothing"), "nothing");
  assertEquals((await assertRejects(fetching, CulvertError)).code, "liar");
});
