/**
 * A guest who was invited to one folder, at a real file server behind a real door: what is outside of that folder does not
 * exist for it, whatever it asks.
 */

import { assertEquals } from "@std/assert";
import { clockOf } from "../../protocol/clock.ts";
import { folderPageSchema, selfSchema } from "../../protocol/files/listing.ts";
import { silentLog } from "../../protocol/log.ts";
import { makeInvitation } from "../../protocol/peers/invitations.ts";
import { writeAll } from "../../protocol/stream.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { openDoor } from "../files/doors.ts";
import { serveFiles } from "../files/file_server.ts";
import { newIdentity, partsOf, readText, startGuest, startHost } from "./fixtures/peer_world.ts";
import { GuestDoors } from "./guest_doors.ts";
import type { PeerConnection } from "./peer_connection.ts";

const clock = clockOf(globalThis);

/** Status and body of an answer to a request whose target goes out exactly as it is given. */
async function ask(connection: PeerConnection, target: string, method = "GET"): Promise<[number, string]> {
  using stream = await connection.open();
  const head = `${method} ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n`;
  await writeAll(stream, new TextEncoder().encode(`${head}Content-Length: 0\r\n\r\n`));
  const [top = "", ...body] = (await readText(stream)).split("\r\n\r\n");
  return [Number(top.split(" ")[1]), body.join("\r\n\r\n")];
}

Deno.test("a guest sees the folder it was invited to, and nothing else", async () => {
  using directory = new TempDirectory();
  const folder = directory.path("shared");
  await Deno.mkdir(`${folder}/open/inner`, { recursive: true });
  await Deno.writeTextFile(`${folder}/open/a.txt`, "may be read");
  await Deno.writeTextFile(`${folder}/secret.txt`, "may not");
  await Deno.writeTextFile(`${folder}/opening.txt`, "may not");
  await Deno.symlink("../secret.txt", `${folder}/open/link.txt`);
  const parts = partsOf(newIdentity());
  const { random, primitives } = parts;
  const self = { peerId: parts.identity.peerId, label: "host", version: "1", capabilities: ["files"] };
  await using server = serveFiles({ folder, self, clock, random, makesFolderPage: false, upload: { maxBytes: 1000 } });
  await using doors = new GuestDoors({ clock, log: silentLog, open: (guest) => openDoor(server, { guest }) });
  const { onGuest, onLeave, onStream } = doors;
  await using host = startHost({ isOpen: false, onGuest, onLeave, onStream });
  const { invitation, secret } = makeInvitation({ scope: "open" }, { random, primitives, wallNowMs: clock.wallNow() });
  host.rules.change({ invitations: [invitation] });
  await using guest = startGuest();
  await using connection = await guest.network.connect(host.card(), { invitation: secret });

  assertEquals(await ask(connection, "/download/open/a.txt"), [200, "may be read"]);
  const [, told] = await ask(connection, "/api/self");
  assertEquals(selfSchema.parse(JSON.parse(told)).scope, "open");
  const [, listed] = await ask(connection, "/api/files/open");
  assertEquals(folderPageSchema.parse(JSON.parse(listed)).entries.map(({ name }) => name), ["inner", "a.txt"]);
  const outside = [
    ...["secret.txt", "opening.txt", "open/../secret.txt", "open/%2e%2e/secret.txt", "open/..%2fsecret.txt"],
    ...["open/%252e%252e/secret.txt", "open//../secret.txt", "open/inner/../../secret.txt", "./secret.txt"],
    ...["open\\..\\secret.txt", "%2fetc/passwd", "open/link.txt", "OPEN/../secret.txt", "open/a.txt/../../secret.txt"],
  ];
  for (const path of outside) {
    for (const route of ["content", "download"]) {
      const [status, body] = await ask(connection, `/${route}/${path}`);
      assertEquals([status >= 400, body.includes("may not")], [true, false], `${route} ${path}`);
    }
  }
  for (const target of ["/peers/x/api/self", "/api/peers", "/api/transfers"]) {
    assertEquals((await ask(connection, target))[0] >= 400, true, target);
  }
  assertEquals((await ask(connection, "/upload/open/new.txt", "PUT"))[0] >= 400, true, "it may not put files there");
  const [, all] = await ask(connection, "/api/files");
  assertEquals(/secret|opening/.test(all), false, "nor list what is beside it");
});
