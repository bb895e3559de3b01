/**
 * Settings of GFW-knocker in our own words: `parameters.py` of the Python programs, and the YAML of the Go one. Defaults are
 * theirs, so that both ends still fit together.
 */

import { CulvertError } from "../../protocol/errors.ts";
import type { PortSpan } from "../../protocol/port_span.ts";
import type { ImportedBackend, ImportedForward, ImportedKcp, ImportedMux, ImportedSettings } from "./imported.ts";
import { parseYaml } from "./import_paqet.ts";
import { defined, ImportReport, KeyReader } from "./key_reader.ts";
import { type PythonValue, readAssignments } from "./python_values.ts";

const PYTHON = "the parameters of GFW-knocker";
const GO = "a configuration of GFW-knocker";
const PORT = { least: 1, most: 65_535 } as const;
const MILLISECONDS = 1000;
const MOST_SECONDS = { least: 0, most: 31_536_000 } as const;

/** The same file serves both sides. Throws `bad_file` with everything that is wrong. */
export function importGfkPython(text: string, side: "client" | "server"): ImportedSettings {
  const report = new ImportReport();
  const keys = new KeyReader(plain(readAssignments(text)), report);
  const port = (key: string, usual: number): PortSpan => ({ first: keys.whole(key, PORT) ?? usual, count: 1 });
  const host = side === "client" ? keys.needed("vps_ip") : keys.text("vps_ip");
  const backendHost = keys.text("xray_server_ip_address") ?? "127.0.0.1";
  for (
    const key of ["vio_udp_server_port", "vio_udp_client_port", "quic_server_port", "quic_client_port", "quic_local_ip"]
  ) {
    keys.ignore(key, "the parts of one process need no ports between them");
  }
  keys.ignore("udp_timeout", "forwarded UDP has a time of its own");
  keys.ignore("quic_cert_filepath", "its certificate and key are published; one is made here");
  keys.ignore("quic_max_data", "buffers are sized here");
  keys.ignore("quic_max_stream_data", "buffers are sized here");
  if (keys.flag("quic_verify_cert") === false) {
    keys.note("quic_verify_cert", "is false there: whoever is on the way can read and change everything");
  }
  const idleSeconds = keys.whole("quic_idle_timeout", MOST_SECONDS);
  const forwards = [...mapping(keys, "tcp"), ...mapping(keys, "udp")];
  if (side === "client" && forwards.length > 0) {
    report.notes.push(
      "Forwarded ports are opened for this machine alone; change 127.0.0.1 to 0.0.0.0 to open them to others",
    );
  }
  const settings: ImportedSettings = {
    program: "gfk-py",
    side,
    transport: "quic",
    carrier: {
      look: "gfk-py",
      server: { ports: port("vio_tcp_server_port", 45_000), ...host && { host } },
      clientPorts: port("vio_tcp_client_port", 40_000),
    },
    key: keys.text("quic_auth_code") ?? "jd!gn0s4",
    quic: defined({
      mtuBytes: keys.whole("quic_mtu", { least: 1200, most: 1472 }),
      idleTimeoutMs: idleSeconds === undefined ? undefined : idleSeconds * MILLISECONDS,
    }),
    socks: [],
    forwards: side === "client" ? forwards : [],
    ...side === "server" && { backend: { host: backendHost, isOpen: false } },
    notes: report.notes,
  };
  keys.done();
  report.check(PYTHON);
  return settings;
}

/** Dictionaries become objects, as YAML has them. */
function plain(values: Record<string, PythonValue>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, value instanceof Map ? Object.fromEntries(value) : value]),
  );
}

function mapping(keys: KeyReader, protocol: "tcp" | "udp"): ImportedForward[] {
  const key = `${protocol}_port_mapping`;
  const ports = keys.object(key);
  return ports.keys().flatMap((local) => {
    const target = ports.whole(local, PORT);
    const isPort = /^\d{1,5}$/.test(local) && Number(local) >= 1 && Number(local) <= 65_535;
    if (!isPort) keys.problem(key, "must be from ports to ports");
    return isPort && target !== undefined ? [{ protocol, listen: `127.0.0.1:${local}`, target }] : [];
  });
}

/** Throws `bad_file` with everything that is wrong. */
export function importGfkGo(text: string): ImportedSettings {
  const report = new ImportReport();
  const root = new KeyReader(parseYaml(text, GO, report), report);
  report.check(GO);
  const side = root.choice("mode", ["client", "server"]) ?? "client";
  const transport = root.choice("transport", ["kcp", "quic"]) ?? "kcp";
  const carrier = root.object("carrier");
  const host = side === "client" ? carrier.needed("vps_ip") : carrier.text("vps_ip");
  const manage = root.object("firewall").choice("manage", ["ask", "yes", "no"]) ?? "ask";
  const name = carrier.text("interface");
  const client = root.object("client"), server = root.object("server"), quic = root.object("quic");
  const kcp = readKcp(root.object("kcp"));
  const keepAliveMs = inMs(client.whole("keepalive_seconds", MOST_SECONDS));
  client.ignore("reconnect_seconds", "after a failure it is tried again at growing times");
  const socks = client.text("socks5_listen");
  const level = root.choice("log_level", ["debug", "info", "warn", "error"]);
  const settings: ImportedSettings = {
    program: "gfk-go",
    side,
    transport,
    carrier: {
      look: "gfk-go",
      server: { ports: span(carrier, "server_port", 45_000), ...side === "client" && host && { host } },
      maxPayloadBytes: carrier.whole("mtu", { least: 576, most: 1500 }) ?? 1400,
      manageFirewall: manage !== "no",
      clientPorts: span(carrier, "client_port", 40_000),
      ...name && { interface: name },
      ...side === "server" && host && { source: host },
    },
    key: root.object("auth").needed("key"),
    ...transport === "kcp" ? { kcp: kcp.kcp } : {
      quic: defined({
        keepAliveMs: inMs(quic.whole("keepalive_period", MOST_SECONDS)),
        idleTimeoutMs: inMs(quic.whole("max_idle_timeout", MOST_SECONDS)),
      }),
    },
    mux: { ...kcp.mux, ...keepAliveMs !== undefined && { keepAliveMs } },
    socks: socks ? [{ listen: socks }] : [],
    forwards: client.objects("forwards").map(readForward),
    ...side === "server" && { backend: readBackend(server) },
    ...level && { logLevel: level },
    notes: report.notes,
  };
  root.done();
  report.check(GO);
  return settings;
}

function inMs(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * MILLISECONDS;
}

/** Theirs are eight ports unless something else is said; 0 and 1 are one. */
function span(carrier: KeyReader, key: string, usual: number): PortSpan {
  const first = carrier.whole(key, PORT) ?? usual;
  const count = Math.max(1, carrier.whole(`${key}_span`, { least: 0, most: 256 }) ?? 8);
  if (first + count > 65_536) carrier.problem(`${key}_span`, "must end at port 65535 at most");
  return { first, count };
}

function readKcp(keys: KeyReader): { readonly kcp: ImportedKcp; readonly mux: ImportedMux } {
  const shards = { least: 0, most: 128 }, window = { least: 1, most: 32_768 }, bytes = { least: 0, most: 2 ** 31 };
  const hasNoCongestion = keys.flag("nc") ?? true;
  const noDelay = keys.flag("nodelay") ?? true;
  const streamBuffer = keys.whole("stream_buffer", bytes), sessionBuffer = keys.whole("session_buffer", bytes);
  return {
    kcp: {
      crypt: "aes",
      mode: "manual",
      noDelay,
      intervalMs: keys.whole("interval", { least: 10, most: 5000 }) ?? 10,
      fastResend: keys.whole("resend", { least: 0, most: 100 }) ?? 2,
      hasCongestionControl: !hasNoCongestion,
      writeDelay: false,
      ackNoDelay: true,
      sendWindow: keys.whole("sndwnd", window) ?? 128,
      receiveWindow: keys.whole("rcvwnd", window) ?? 128,
      dataShards: keys.whole("fec_data", shards) ?? 0,
      parityShards: keys.whole("fec_parity", shards) ?? 0,
    },
    mux: {
      ...streamBuffer !== undefined && streamBuffer > 0 && { streamBufferBytes: streamBuffer },
      ...sessionBuffer !== undefined && sessionBuffer > 0 && { sessionBufferBytes: sessionBuffer },
    },
  };
}

function readForward(forward: KeyReader): ImportedForward {
  const protocol = forward.choice("proto", ["tcp", "udp"]) ?? "tcp";
  const target = forward.whole("target_port", PORT);
  if (target === undefined) forward.problem("target_port", "must be a port");
  return { protocol, listen: forward.needed("listen"), target: target ?? 0 };
}

function readBackend(server: KeyReader): ImportedBackend {
  const ports = server.wholes("allowed_ports", PORT);
  return {
    host: server.text("backend_ip") ?? "127.0.0.1",
    isOpen: server.flag("allow_socks5") ?? false,
    ...ports && ports.length > 0 && { ports },
  };
}

/** By its name: `.py` is of the Python programs, which must be told which side it is. */
export function importGfk(text: string, fileName: string, side?: "client" | "server"): ImportedSettings {
  if (!fileName.endsWith(".py")) return importGfkGo(text);
  if (side) return importGfkPython(text, side);
  throw new CulvertError(
    "bad_option",
    `Cannot import ${PYTHON}: it must be said whether it is for a client or a server, by --side`,
  );
}
