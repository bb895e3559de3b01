/**
 * What connects this machine to the internet, and whether it is paid by the byte.
 *
 *   default route ─▶ its device ─▶ kind: wifi, ethernet, mobile
 *   NetworkManager's property Metered ─▶ else nmcli ─▶ else: mobile is metered
 *
 * NetworkManager guesses too: it takes phones that are tethered for metered ones, by what their DHCP servers say. Its programs
 * are only asked where they are installed, and for a few seconds at most. Linux only; elsewhere nothing is known.
 * https://networkmanager.dev/docs/api/latest/nm-dbus-types.html (NMMetered)
 */

import type { DeviceInfo } from "../../protocol/sharing/records.ts";
import { findProgram } from "../machine/programs.ts";

export interface Connection {
  /** Of the default route; undefined where there is none. */
  readonly device: string | undefined;
  readonly kind: NonNullable<DeviceInfo["network"]>;
  readonly isMetered: boolean;
}

/** Runs a program and gives what it says; undefined when it is not there, fails or takes too long. */
export type AskProgram = (program: string, ...args: string[]) => Promise<string | undefined>;

export interface ConnectionSources {
  /** Where /proc and /sys are. */
  readonly root?: string;
  readonly ask?: AskProgram;
}

const PROGRAM_WITHIN_MS = 3_000;
const MOBILE_DEVICE = /^(wwan|wwp|rmnet|ppp|ccmni|cdc-wdm)/;
const WIFI_DEVICE = /^(wl|ath)/;
const NETWORK_MANAGER = "org.freedesktop.NetworkManager";

/** NMMetered: unknown 0, yes 1, no 2, guessed yes 3, guessed no 4. */
const METERED_BY_NUMBER: Readonly<Record<string, boolean>> = { 1: true, 2: false, 3: true, 4: false };

export async function readConnection({ root = "", ask = askProgram }: ConnectionSources = {}): Promise<Connection> {
  const device = await defaultDevice(root);
  const kind = device === undefined ? "unknown" : await kindOfDevice(root, device);
  const said = await meteredByBus(ask) ?? (device === undefined ? undefined : await meteredByNmcli(ask, device));
  return { device, kind, isMetered: said ?? kind === "mobile" };
}

async function meteredByBus(ask: AskProgram): Promise<boolean | undefined> {
  const path = "/org/freedesktop/NetworkManager";
  const property = ["get-property", NETWORK_MANAGER, path, NETWORK_MANAGER, "Metered"];
  const said = await ask("busctl", "--system", "--auto-start=no", ...property);
  return METERED_BY_NUMBER[/^u (\d)$/.exec(said?.trim() ?? "")?.[1] ?? ""];
}

/** "yes", "no", "yes (guessed)", "no (guessed)" or "unknown". */
async function meteredByNmcli(ask: AskProgram, device: string): Promise<boolean | undefined> {
  const said = await ask("nmcli", "-g", "GENERAL.METERED", "device", "show", device);
  const word = /^(yes|no)\b/.exec(said?.trim() ?? "")?.[1];
  return word === undefined ? undefined : word === "yes";
}

/** The device of the IPv4 default route that counts, else of the IPv6 one (proc_net_route). */
async function defaultDevice(root: string): Promise<string | undefined> {
  const routes = (await readRows(`${root}/proc/net/route`)).filter(([, to, , , , , , mask]) =>
    to === "00000000" && mask === "00000000"
  );
  const [best] = routes.sort((a, b) => Number(a[6]) - Number(b[6]));
  if (best) return best[0];
  const rows = await readRows(`${root}/proc/net/ipv6_route`);
  return rows.find(([to, bits, , , , , , , , device]) => /^0+$/.test(to!) && bits === "00" && device !== "lo")?.[9];
}

async function kindOfDevice(root: string, device: string): Promise<Connection["kind"]> {
  const folder = `${root}/sys/class/net/${device}`;
  const type = /^DEVTYPE=(\w+)$/m.exec(await readText(`${folder}/uevent`))?.[1];
  if (type === "wwan" || MOBILE_DEVICE.test(device)) return "mobile";
  if (type === "wlan" || WIFI_DEVICE.test(device)) return "wifi";
  const ARPHRD_ETHER = "1";
  return (await readText(`${folder}/type`)).trim() === ARPHRD_ETHER ? "ethernet" : "unknown";
}

async function readRows(path: string): Promise<string[][]> {
  return (await readText(path)).split("\n").map((line) => line.trim().split(/\s+/)).filter((row) => row.length > 7);
}

async function readText(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch {
    return "";
  }
}

async function askProgram(name: string, ...args: string[]): Promise<string | undefined> {
  const program = findProgram(name);
  if (program === undefined) return undefined;
  try {
    const signal = AbortSignal.timeout(PROGRAM_WITHIN_MS);
    const options = { args, signal, stdin: "null", stderr: "null", env: { LC_ALL: "C" } } as const;
    const { success, stdout } = await new Deno.Command(program, options).output();
    return success ? new TextDecoder().decode(stdout) : undefined;
  } catch {
    return undefined;
  }
}
