import { assertEquals } from "@std/assert";
import { writeAll } from "../protocol/stream.ts";
import { SilentRelay } from "./silent_relay.ts";

async function read(conn: Deno.TcpConn): Promise<string> {
  const buffer = new Uint8Array(64);
  const count = await conn.read(buffer);
  return new TextDecoder().decode(buffer.subarray(0, count ?? 0));
}

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("a relay that falls silent swallows what was open, closes nothing, and carries what comes after it speaks again", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using relay = SilentRelay.start({ host: "127.0.0.1", port: listener.addr.port });
  const { host: hostname, port } = relay.address;
  using near = await Deno.connect({ hostname, port });
  using far = await listener.accept();
  await writeAll(near, bytes("hello"));
  assertEquals(await read(far), "hello");
  relay.fallSilent();
  await writeAll(near, bytes("lost"));
  using unheard = await Deno.connect({ hostname, port });
  await writeAll(unheard, bytes("lost"));
  relay.speakAgain();
  using again = await Deno.connect({ hostname, port });
  using other = await listener.accept();
  await writeAll(again, bytes("back"));
  assertEquals(await read(other), "back");
  await writeAll(far, bytes("lost as well"));
  await writeAll(near, bytes("lost too"));
  await again.closeWrite();
  assertEquals(await read(other), "");
});
