import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import fc from "fast-check";
import { CulvertError } from "../errors.ts";
import { plainService } from "./fixtures/plain_service.ts";
import { managerUnitText } from "./manager_unit_text.ts";
import type { Service } from "./service.ts";
import { isEdited, unitNameOf, unitText } from "./unit_text.ts";

const FILE = { environmentFile: "/run/culvert/own.env" };

function own(more: Partial<Service>): Service {
  return plainService("own", ["/bin/own"], more);
}

function linesOf(more: Partial<Service>): string[] {
  return unitText(own(more), FILE).split("\n");
}

function valueOf(lines: readonly string[], key: string): string | undefined {
  return lines.find((line) => line.startsWith(`${key}=`))?.slice(key.length + 1);
}

Deno.test("systemd restarts nothing by itself and stops as the manager does", () => {
  const lines = linesOf({ notifies: true });
  const expected = {
    Type: "notify",
    NotifyAccess: "main",
    WatchdogSec: "30",
    Before: "culvert-manager.service",
    Restart: "no",
    StartLimitIntervalSec: "0",
    KillMode: "mixed",
    TimeoutStopSec: "30",
    NoNewPrivileges: "yes",
    ProtectSystem: "strict",
    PrivateTmp: "yes",
  };
  for (const [key, value] of Object.entries(expected)) assertEquals(valueOf(lines, key), value, key);
  assertEquals(valueOf(lines, "MemoryDenyWriteExecute"), undefined, "V8 would not start");
  const simple = linesOf({ notifies: false });
  assertEquals([valueOf(simple, "Type"), valueOf(simple, "WatchdogSec")], ["exec", undefined]);
});

Deno.test("limits leave room for an orderly restart before the kernel's", () => {
  const lines = linesOf({ limits: { memoryBytes: 400, openFiles: 1001, overMs: 1 } });
  assertEquals([valueOf(lines, "MemoryMax"), valueOf(lines, "LimitNOFILE")], ["500", "1252"]);
  assertEquals(valueOf(linesOf({ limits: { overMs: 1 } }), "MemoryMax"), undefined);
});

Deno.test("its state is kept where its flags say, and homes are seen only by what lies there", () => {
  const rows: [Partial<Service>, string | undefined, string | undefined, string][] = [
    [{ name: "kcp" }, `"culvert-kcp"`, undefined, "yes"],
    [{ command: ["/bin/x", "--state-dir", "/var/lib/other"] }, `"other"`, undefined, "yes"],
    [{ command: ["/bin/x", "--state-dir=/srv/a b"] }, undefined, `"-/srv/a b"`, "yes"],
    [{ command: ["/bin/x", "--state-dir=/var/lib/../../etc"] }, undefined, `"-/var/lib/../../etc"`, "yes"],
    [{ name: "kcp", environment: { CULVERT_STATE_DIR: "/srv/kcp" } }, undefined, `"-/srv/kcp"`, "yes"],
    [{ name: "kcp", command: ["/bin/x", "--key=/root/key"] }, `"culvert-kcp"`, undefined, "read-only"],
    [{ name: "kcp", command: ["/bin/x", "--under", "/srv/home/x"] }, `"culvert-kcp"`, undefined, "yes"],
    [{ name: "kcp", command: ["/root/x"] }, `"culvert-kcp"`, undefined, "read-only"],
    [{ name: "kcp", environment: { DENO_DIR: "/home/a/.cache" } }, `"culvert-kcp"`, undefined, "read-only"],
  ];
  for (const [more, state, writable, home] of rows) {
    const lines = linesOf(more);
    assertEquals(["StateDirectory", "ReadWritePaths", "ProtectHome"].map((key) => valueOf(lines, key)), [
      state,
      writable,
      home,
    ]);
  }
});

Deno.test("the environment, which may hold secrets, is named and not written", () => {
  const text = unitText(own({ environment: { CULVERT_KEY: "s3cret" } }), FILE);
  assertStringIncludes(text, "\nEnvironmentFile=/run/culvert/own.env\n");
  assert(!text.includes("s3cret") && !text.includes("CULVERT_KEY"));
  assert(!unitText(own({ environment: {} }), FILE).includes("EnvironmentFile"));
});

Deno.test("nothing that a service says can become another setting", () => {
  const settings = unitText(own({}), FILE).split("\n").length;
  const text = fc.string({ unit: "binary", maxLength: 30 }).map((said) => `${said}\nExecStartPre=/bin/evil\n${said}`);
  fc.assert(fc.property(text, text, (description, word) => {
    const lines = unitText(own({ description, command: ["/bin/true", word] }), FILE).split("\n");
    assertEquals(lines.length, settings);
    assert(!lines.some((line) => line.startsWith("ExecStartPre") || line.endsWith("\\")));
  }));
  for (const directory of ["/a\nUser=root", "/a\\"]) {
    assertThrows(() => linesOf({ directory }), CulvertError, "Cannot make a unit: a path must");
  }
});

Deno.test("words are kept from systemd's own meaning", () => {
  const [line] = linesOf({ command: ["/bin/x", "50%", "$A", `"\\`, "a b", "\t"] }).filter((line) =>
    line.startsWith("ExecStart=")
  );
  assertEquals(line, String.raw`ExecStart="/bin/x" "50%%" "$$A" "\"\\" "a b" "\x09"`);
});

Deno.test("whatever is changed in a unit is seen", () => {
  for (const text of [unitText(own({}), FILE), managerUnitText(["/bin/culvert", "manager"])]) {
    assert(!isEdited(text));
    fc.assert(fc.property(fc.nat(text.length - 1), (at) => {
      assert(isEdited(text.slice(0, at) + text.slice(at + 1)));
      assert(isEdited(`${text.slice(0, at)}#${text.slice(at)}`));
    }));
    assert(isEdited("") && isEdited("[Service]\nExecStart=/bin/true\n"));
  }
  assertEquals(unitNameOf("kcp"), "culvert-kcp.service");
});
