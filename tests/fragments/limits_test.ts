/**
 * Strangers at the doors of an upstream and a downstream: what makes no sense or is too much gets a clear answer and is
 * counted, and those who behave are served beside them.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { CLIENT_HEAD_BYTES, MAX_MESSAGE_BYTES, MessageKind } from "../../protocol/fragment/messages.ts";
import { within } from "../../testing/waiting.ts";
import type { RoleProcess } from "../chaos/fixtures/processes.ts";
import { untilReachable } from "../../testing/socks_client.ts";
import { CheckedTarget, download } from "../fixtures/checked_target.ts";
import { openSender } from "../fixtures/message_sender.ts";
import { FragmentNetwork } from "../fixtures/relay_network.ts";

interface Post {
  readonly name: string;
  readonly to: "upstream" | "downstream";
  readonly path: string;
  readonly body: Uint8Array<ArrayBuffer>;
  readonly status: number;
}

const posts: readonly Post[] = [
  { name: "nothing", to: "upstream", path: "v1/fragments", body: new Uint8Array(), status: 400 },
  { name: "rubbish", to: "upstream", path: "v1/fragments", body: noise(1000), status: 400 },
  { name: "too much", to: "upstream", path: "v1/fragments", body: noise(MAX_MESSAGE_BYTES + 1), status: 413 },
  { name: "an unknown central", to: "upstream", path: "v1/fragments", body: opening(), status: 404 },
  { name: "nothing", to: "downstream", path: "v1/mailbox", body: new Uint8Array(), status: 400 },
  { name: "a short claim", to: "downstream", path: "v1/mailbox", body: noise(20), status: 400 },
  { name: "too much", to: "downstream", path: "v1/mailbox", body: noise(MAX_MESSAGE_BYTES + 1), status: 413 },
];

function noise(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536));
  if (length > 0) bytes[0] = 99;
  return bytes;
}

/** To a central that is in no directory. */
function opening(): Uint8Array<ArrayBuffer> {
  return noise(CLIENT_HEAD_BYTES + 600).with(0, MessageKind.OPEN);
}

async function refusedBy(role: RoleProcess): Promise<number> {
  const lines = (await role.metrics()).matchAll(/^(?:up|down)stream_refused_total\S* (\d+)$/gm);
  return [...lines].reduce((sum, [, count]) => sum + Number(count), 0);
}

Deno.test("strangers at the doors of relays", async (test) => {
  await using target = new CheckedTarget();
  await using network = await FragmentNetwork.start({ upstreams: 2, downstreams: 2 });
  await untilReachable(network.at, target.address);
  const relays = { upstream: network.upstreams[0]!.role, downstream: network.downstreams[0]!.role };

  for (const { name, to, path, body, status } of posts) {
    await test.step(`${name}, posted to a ${to}, is answered ${status}`, async () => {
      const before = await refusedBy(relays[to]);
      const url = `http://${relays[to].addresses["listen"]}/${path}`;
      const response = await fetch(url, { method: "POST", body });
      const text = await response.text();
      assertEquals(response.status, status, text);
      assertEquals(response.headers.get("content-type")?.split(";")[0], "application/problem+json");
      assertMatch(JSON.parse(text).detail, /^Cannot /);
      assert(await refusedBy(relays[to]) > before, "it is counted");
    });
  }

  for (const [to, path] of [["upstream", "v1/fragments"], ["downstream", "v1/mailbox"]] as const) {
    await test.step(`rubbish by WebSocket is the end of it at a ${to}`, async () => {
      await using sender = await openSender(`ws://${relays[to].addresses["listen"]}/${path}`);
      sender.send(noise(1000));
      const code = await within("the end", sender.closed);
      assert(code >= 4400 && code < 4500, `${code}`);
    });

    await test.step(`a crowd at a ${to} is held back, and a client is served`, async () => {
      const url = `http://${relays[to].addresses["listen"]}/${path}`;
      const statuses = new Set<number>();
      const ask = async () => {
        for (let turn = 0; turn < 60; turn++) {
          const response = await fetch(url, { method: "POST", body: noise(10) });
          await response.body?.cancel();
          statuses.add(response.status);
        }
      };
      const crowd = Promise.all(Array.from({ length: 50 }, ask));
      await download(network.at, target.address, { bytes: 1_000_000 });
      await crowd;
      assertEquals([...statuses].sort(), [400, 429]);
      await download(network.at, target.address, { bytes: 1_000_000 });
    });
  }
});
