/**
 * Where userspace WireGuard devices are found: one Unix socket for each, named after its interface.
 *
 *   /var/run/wireguard/wg0.sock     gone: the device has ended     refusing: its owner was killed
 *
 * What is spoken there: `protocol/wireguard/uapi.ts`. Served by `uapi_server.ts`, asked by `external.ts`.
 */

import { isLinkName } from "../../protocol/rtnetlink/link.ts";
import { removeIfThere } from "../remove_if_there.ts";

/** Where `wg` looks, unless it was built to look elsewhere. */
export const UAPI_DIRECTORY = "/var/run/wireguard";
const SUFFIX = ".sock";

export function uapiPathOf(interfaceName: string, directory: string = UAPI_DIRECTORY): string {
  return `${directory}/${interfaceName}${SUFFIX}`;
}

/** The interfaces that have a socket, whether or not anybody answers there; sorted. */
export async function uapiInterfaces(directory: string = UAPI_DIRECTORY): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name, isSocket } of withKinds(directory)) {
      if (isSocket && name.endsWith(SUFFIX)) names.push(name.slice(0, -SUFFIX.length));
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return names.filter(isLinkName).sort();
}

/** A directory's entries do not tell sockets from other files that are none of the three usual kinds. */
async function* withKinds(directory: string): AsyncGenerator<{ name: string; isSocket: boolean }> {
  for await (const { name } of Deno.readDir(directory)) {
    const info = await Deno.lstat(`${directory}/${name}`).catch(() => undefined);
    yield { name, isSocket: info?.isSocket ?? false };
  }
}

/** Whether somebody listens at a socket. */
export async function answers(path: string): Promise<boolean> {
  try {
    using _conn = await Deno.connect({ transport: "unix", path });
    return true;
  } catch (error) {
    // Nobody listens, or there is nothing, or it is no socket.
    if (error instanceof Deno.errors.ConnectionRefused || error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Removes a socket that nobody listens at; says whether the place is free now. */
export async function removeStaleSocket(path: string): Promise<boolean> {
  const info = await Deno.lstat(path).catch(() => undefined);
  if (!info) return true;
  if (!info.isSocket || await answers(path)) return false;
  await removeIfThere(path);
  return true;
}

/** Tells when a socket file is gone, or another has taken its place. */
export class SocketWatch implements Disposable {
  /** Settles when it is gone, and when the watch ends. */
  readonly gone: Promise<void>;
  readonly #watcher: Deno.FsWatcher;
  readonly #path: string;

  /** Begin before the file is made or looked at, so that nothing happens unseen; then call `expect`. */
  constructor(path: string) {
    this.#path = path;
    this.#watcher = Deno.watchFs(path.slice(0, path.lastIndexOf("/")), { recursive: false });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.gone = promise;
    this.#resolve = resolve;
  }

  readonly #resolve: () => void;

  /** From now on the file is the one that lies there at this moment. */
  expect(): void {
    const inode = inodeOf(this.#path);
    this.#follow(inode).finally(this.#resolve);
  }

  async #follow(inode: number | undefined): Promise<void> {
    if (inode === undefined) return;
    for await (const _event of this.#watcher) if (inodeOf(this.#path) !== inode) return;
  }

  [Symbol.dispose](): void {
    try {
      this.#watcher.close();
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
    this.#resolve();
  }
}

export function inodeOf(path: string): number | undefined {
  try {
    return Deno.lstatSync(path).ino ?? undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** The number of an interface of this network namespace, for endpoints such as `[fe80::1%eth0]:51820`. */
export function systemScopes(interfaceName: string): number | undefined {
  if (!isLinkName(interfaceName)) return undefined;
  try {
    return Number(Deno.readTextFileSync(`/sys/class/net/${interfaceName}/ifindex`));
  } catch {
    return undefined;
  }
}
