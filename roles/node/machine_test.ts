import { assertEquals } from "@std/assert";
import { dirname } from "@std/path";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { readBattery } from "./battery.ts";
import { readConnection } from "./connection.ts";

type Files = Readonly<Record<string, string>>;

function write(temp: TempDirectory, files: Files): string {
  for (const [name, text] of Object.entries(files)) {
    Deno.mkdirSync(dirname(temp.path(name)), { recursive: true });
    Deno.writeTextFileSync(temp.path(name), text);
  }
  return temp.path("");
}

const CHARGER: Files = { "AC/type": "Mains\n", "AC/online": "1\n" };

function battery(name: string, status: string, capacity: string, more: Files = {}): Files {
  const files = { type: "Battery\n", status: `${status}\n`, capacity: `${capacity}\n`, ...more };
  return Object.fromEntries(Object.entries(files).map(([file, text]) => [`${name}/${file}`, text]));
}

Deno.test("a battery is read as Linux shows it", async () => {
  const table: [name: string, files: Files, seen: Awaited<ReturnType<typeof readBattery>>][] = [
    ["none", CHARGER, undefined],
    ["discharging", { ...CHARGER, ...battery("BAT0", "Discharging", "41") }, { percent: 41, isCharging: false }],
    ["charging", battery("BAT0", "Charging", "41"), { percent: 41, isCharging: true }],
    ["full", battery("BAT0", "Full", "100"), { percent: 100, isCharging: true }],
    ["held", battery("BAT0", "Not charging", "80"), { percent: 80, isCharging: true }],
    ["a mouse", battery("hid", "Discharging", "5", { scope: "Device\n" }), undefined],
    ["two", { ...battery("BAT0", "Full", "100"), ...battery("BAT1", "Discharging", "50") }, {
      percent: 75,
      isCharging: false,
    }],
    ["one that does not know", battery("BAT0", "Unknown", ""), undefined],
  ];
  for (const [name, files, seen] of table) {
    using temp = new TempDirectory();
    assertEquals(await readBattery(write(temp, files)), seen, name);
  }
  assertEquals(await readBattery("/nowhere"), undefined);
});

const HEAD = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n";

function route(device: string, metric = 100, to = "00000000", mask = "00000000"): string {
  return `${device}\t${to}\t0100A8C0\t0003\t0\t0\t${metric}\t${mask}\t0\t0\t0\n`;
}

const NOTHING_SAID = () => Promise.resolve(undefined);

Deno.test("the device of the default route tells what connects the machine", async () => {
  const v6 = `${"0".repeat(32)} 00 ${"0".repeat(32)} 00 ${"0".repeat(32)} 00000400 00000001 00000000 00000003 wlan0\n`;
  const table: [name: string, files: Files, device: string | undefined, kind: string, isMetered: boolean][] = [
    ["nothing", {}, undefined, "unknown", false],
    ["no default", { "proc/net/route": HEAD + route("eth0", 0, "0000A8C0", "00FFFFFF") }, undefined, "unknown", false],
    [
      "a cable",
      { "proc/net/route": HEAD + route("eth0"), "sys/class/net/eth0/type": "1\n" },
      "eth0",
      "ethernet",
      false,
    ],
    [
      "the better route",
      { "proc/net/route": HEAD + route("wwan0", 700) + route("wlp2s0", 600) },
      "wlp2s0",
      "wifi",
      false,
    ],
    ["a modem", { "proc/net/route": HEAD + route("wwan0", 700) }, "wwan0", "mobile", true],
    [
      "a modem by its type",
      {
        "proc/net/route": HEAD + route("usb1"),
        "sys/class/net/usb1/uevent": "DEVTYPE=wwan\nINTERFACE=usb1\n",
      },
      "usb1",
      "mobile",
      true,
    ],
    [
      "a tunnel",
      { "proc/net/route": HEAD + route("tun0"), "sys/class/net/tun0/type": "65534\n" },
      "tun0",
      "unknown",
      false,
    ],
    ["IPv6 alone", { "proc/net/ipv6_route": v6 }, "wlan0", "wifi", false],
  ];
  for (const [name, files, device, kind, isMetered] of table) {
    using temp = new TempDirectory();
    const root = write(temp, files);
    assertEquals(await readConnection({ root, ask: NOTHING_SAID }), { device, kind, isMetered } as unknown, name);
  }
});

Deno.test("what NetworkManager says counts more than a guess of ours", async () => {
  const table: [busctl: string | undefined, nmcli: string | undefined, onCable: boolean, onModem: boolean][] = [
    ["u 1\n", undefined, true, true],
    ["u 2\n", "yes", false, false],
    ["u 3\n", undefined, true, true],
    ["u 4\n", undefined, false, false],
    ["u 0\n", undefined, false, true],
    ["u 0\n", "yes (guessed)\n", true, true],
    [undefined, "no\n", false, false],
    [undefined, "unknown\n", false, true],
    ["Failed", "", false, true],
  ];
  for (const [busctl, nmcli, onCable, onModem] of table) {
    const ask = (program: string) => Promise.resolve(program === "busctl" ? busctl : nmcli);
    for (const [device, isMetered] of [["eth0", onCable], ["wwan0", onModem]] as const) {
      using temp = new TempDirectory();
      const root = write(temp, { "proc/net/route": HEAD + route(device) });
      assertEquals((await readConnection({ root, ask })).isMetered, isMetered, `${busctl} ${nmcli} ${device}`);
    }
  }
});
