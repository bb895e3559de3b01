import { assertEquals, assertRejects } from "@std/assert";
import { formatIp, type IpAddress, parseIp } from "../../../protocol/ip.ts";
import { silentLog } from "../../../protocol/log.ts";
import { FakeClock } from "../../../testing/fake_clock.ts";
import { TempDirectory } from "../../../testing/temp_directory.ts";
import { StateDirectory } from "../../state.ts";
import { Underlay } from "./underlay.ts";

const { signal } = new AbortController();
const SUPERNODE = { host: "sn.example", port: 8443 };

class Rig implements Disposable {
  readonly clock = new FakeClock();
  readonly #temp = new TempDirectory();
  /** What the name is; undefined while nobody answers. */
  address: string | undefined = "192.0.2.1";
  isLocked = false;
  lookups = 0;
  readonly passed: string[] = [];
  readonly forgotten: string[] = [];
  isRefused = false;

  async open(): Promise<Underlay> {
    return await Underlay.open({
      state: await StateDirectory.open(this.#temp.path("state")),
      lookup: () => {
        this.lookups++;
        if (this.address === undefined) return Promise.reject(new Error("nobody answers"));
        return Promise.resolve([parseIp(this.address)!]);
      },
      clock: this.clock,
      log: silentLog,
      canLookUp: () => !this.isLocked,
      onPlace: ({ address, port }) => {
        if (this.isRefused) return Promise.reject(new Error("the kernel refuses it"));
        this.passed.push(`${formatIp(address)} ${port}`);
        return Promise.resolve();
      },
      onForgotten: ({ address, port }) => void this.forgotten.push(`${formatIp(address)} ${port}`),
    });
  }

  [Symbol.dispose](): void {
    this.#temp[Symbol.dispose]();
  }
}

const texts = (addresses: readonly IpAddress[]) => addresses.map(formatIp);

Deno.test("a supernode's addresses are let through before it is connected to, each once", async () => {
  using rig = new Rig();
  const underlay = await rig.open();
  await underlay.prepare([SUPERNODE, { host: "203.0.113.9", port: 443 }], signal);
  assertEquals(texts(await underlay.locate(SUPERNODE, signal)), ["192.0.2.1"]);
  assertEquals(texts(await underlay.locate({ ...SUPERNODE, port: 9443 }, signal)), ["192.0.2.1"]);
  assertEquals(rig.passed.sort(), ["192.0.2.1 8443", "192.0.2.1 9443", "203.0.113.9 443"]);
  assertEquals(rig.lookups, 1);
});

Deno.test("a start in a locked machine knows what an earlier one has found", async () => {
  using rig = new Rig();
  await (await rig.open()).prepare([SUPERNODE], signal);
  rig.isLocked = true;
  rig.address = undefined;
  const next = await rig.open();
  await next.prepare([SUPERNODE], signal);
  assertEquals(texts(await next.locate(SUPERNODE, signal)), ["192.0.2.1"]);
  assertEquals(rig.lookups, 1);
  await assertRejects(() => next.prepare([{ host: "other.example", port: 1 }], signal), Error, "client down");
});

Deno.test("a known host is not waited for; it is looked up again behind that, and found where it has moved", async () => {
  using rig = new Rig();
  await (await rig.open()).prepare([SUPERNODE], signal);
  const underlay = await rig.open();
  rig.address = "192.0.2.2";
  assertEquals(texts(await underlay.locate(SUPERNODE, signal)), ["192.0.2.1"]);
  await underlay.settled();
  assertEquals(texts(await underlay.locate(SUPERNODE, signal)), ["192.0.2.2"]);
  assertEquals(rig.passed.slice(1), ["192.0.2.1 8443", "192.0.2.2 8443"]);
});

Deno.test("a name that nobody answers for is given up in time", async () => {
  using rig = new Rig();
  rig.address = undefined;
  const underlay = await rig.open();
  await assertRejects(() => underlay.prepare([SUPERNODE], signal), Error, "nobody answers");
  assertEquals(rig.passed, []);
});

Deno.test("a supernode that could not be let through is let through the next time", async () => {
  using rig = new Rig();
  const underlay = await rig.open();
  rig.isRefused = true;
  await assertRejects(() => underlay.locate(SUPERNODE, signal), Error, "the kernel refuses it");
  rig.isRefused = false;
  await underlay.locate(SUPERNODE, signal);
  assertEquals(rig.passed, ["192.0.2.1 8443"]);
});

Deno.test("a supernode whose address is another every time does not run out of places: the one unused longest goes", async () => {
  using rig = new Rig();
  const underlay = await rig.open();
  const nth = (index: number) => ({ host: `192.0.2.${index}`, port: 8443 });
  for (let index = 0; index < 128; index++) await underlay.locate(nth(index), signal);
  await underlay.locate(nth(0), signal);
  assertEquals(rig.forgotten, []);
  await underlay.locate(nth(128), signal);
  assertEquals(rig.forgotten, ["192.0.2.1 8443"]);
  assertEquals(underlay.places.length, 128);
});
