/**
 * Two network namespaces that reach each other in two ways: by a veth pair, as fast as the machine goes, and by a line that
 * is shaped as `shape` says (`load/line.ts`), for anything that is IP.
 *
 *   near (client)  10.83.0.1 ←── veth ──→ 10.83.0.2  far (server)
 *                  10.84.0.1 ←── line ──→ 10.84.0.2
 */

import { NetLab, type NetNamespace } from "../testing/netns.ts";
import type { LineConditions } from "../testing/packet_line.ts";
import type { Program } from "../testing/program.ts";
import { load } from "./loads.ts";

export interface Waits {
  /** How long packets waited in the queue. */
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly admitted: number;
  readonly dropped: number;
  readonly lost: number;
}

export const VETH = { near: "10.83.0.1", far: "10.83.0.2" } as const;
export const LINE = { near: "10.84.0.1", far: "10.84.0.2" } as const;
/** So that the kernel's own queue before the device is not what drops. */
const DEVICE_QUEUE_PACKETS = 20_000;

export class LineRig implements AsyncDisposable {
  readonly near: NetNamespace;
  readonly far: NetNamespace;
  readonly #line: Program;
  readonly #resources: AsyncDisposableStack;

  private constructor(
    near: NetNamespace,
    far: NetNamespace,
    line: Program,
    resources: AsyncDisposableStack,
  ) {
    this.near = near;
    this.far = far;
    this.#line = line;
    this.#resources = resources;
  }

  static async open(): Promise<LineRig> {
    await using resources = new AsyncDisposableStack();
    const lab = resources.use(await NetLab.open());
    const tag = crypto.randomUUID().slice(0, 6);
    const [near, far] = [await lab.namespace(`near-${tag}`), await lab.namespace(`far-${tag}`)];
    await lab.connect(near, `${VETH.near}/24`, far, `${VETH.far}/24`);
    const [a, b] = [`cvl-${tag}-a`, `cvl-${tag}-b`];
    const line = resources.use(load("line", { a, b }));
    await line.readJson();
    const [nearMac, farMac] = [await settle(near, a, LINE.near), await settle(far, b, LINE.far)];
    await near.run(["ip", "neigh", "replace", LINE.far, "lladdr", farMac, "dev", a, "nud", "permanent"]);
    await far.run(["ip", "neigh", "replace", LINE.near, "lladdr", nearMac, "dev", b, "nud", "permanent"]);
    return new LineRig(near, far, line, resources.move());
  }

  /** From now on, both ways alike unless told otherwise. */
  async shape(up: LineConditions, down: LineConditions = up): Promise<void> {
    await this.#line.ask(`shape ${JSON.stringify({ up, down })}`);
  }

  /** `waits` counts from now on. */
  async forgetWaits(): Promise<void> {
    await this.#line.ask("forget");
  }

  /** `up` is from near to far. */
  async waits(): Promise<{ readonly up: Waits; readonly down: Waits }> {
    return await this.#line.ask("waits") as unknown as { up: Waits; down: Waits };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

/** Moves a device into its namespace and gives it an address; gives its hardware address. */
async function settle(namespace: NetNamespace, device: string, address: string): Promise<string> {
  const { success, stderr } = await new Deno.Command("ip", { args: ["link", "set", device, "netns", namespace.name] })
    .output();
  if (!success) throw new Error(`Cannot move ${device}: ${new TextDecoder().decode(stderr)}`);
  await namespace.run(["ip", "link", "set", device, "txqueuelen", `${DEVICE_QUEUE_PACKETS}`, "addrgenmode", "none"]);
  await namespace.run(["ip", "address", "add", `${address}/24`, "dev", device]);
  await namespace.run(["ip", "link", "set", device, "up"]);
  const { stdout } = await namespace.run(["cat", `/sys/class/net/${device}/address`], {});
  return stdout.trim();
}
