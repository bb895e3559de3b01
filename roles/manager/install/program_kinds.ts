/**
 * Programs of others as something to install: paqet, GFW-knocker's gfk and Xray. They are on the machine already; what is made
 * here is their configuration, in their own words, unless there is one (`config`).
 *
 *   paqet run -c FILE.yaml      makes its own frames, and must be told the interface and the gateway: both are looked up
 *   gfk -config FILE.yaml       needs root as well; firewall rules are left to it
 *   xray run -c FILE.json       a SOCKS proxy, whose traffic goes out as it is: what stands behind a gfk server
 */

import { z } from "zod";
import { stringify } from "@std/yaml";
import { CulvertError } from "../../../protocol/errors.ts";
import { formatTarget, parseTarget } from "../../../protocol/stream.ts";
import { fieldsOf } from "../../config/schema.ts";
import { filePath, listenAddress, secret, targetAddress } from "../../fields.ts";
import { findProgram } from "../../machine/programs.ts";
import type { Answers } from "./config_text.ts";
import { answersTo, type ConfigFile, type KindContext, type Question, reachableAt, type ServiceKind } from "./kind.ts";

interface ProgramKind {
  readonly name: string;
  readonly summary: string;
  readonly settings: z.ZodObject;
  /** What is asked, by what is known, and whether an answer is needed. */
  asks(answers: Answers): Readonly<Record<string, boolean>>;
  readonly suffix: string;
  readonly arguments: (configPath: string) => readonly string[];
  readonly needsRoot: string | undefined;
  /** Where its proxy listens; undefined on its server's side. */
  proxy(answers: Answers): string | undefined;
  /** Its configuration. Throws `bad_option` where something is missing. */
  configure(answers: Answers, context: KindContext): Promise<unknown>;
}

const everyProgram = {
  program: filePath().optional().describe("Where the program lies.").meta({ defaultText: "where PATH has it" }),
  config: filePath().optional().describe("The configuration that it has already; without it one is written."),
};

const carriers = {
  ...everyProgram,
  side: z.enum(["client", "server"]).default("client").describe("Which end this machine is."),
  server: targetAddress().optional().describe("client: the server, as address:port."),
  port: z.int().min(1).max(65_535).optional().describe("server: the port that packets come to."),
  key: secret().optional().describe("The secret that both ends have."),
  listen: listenAddress("127.0.0.1:1080").describe("client: where programs find the SOCKS proxy."),
};

const paqet: ProgramKind = {
  name: "paqet",
  summary: "KCP in raw packets, by the program paqet.",
  settings: z.object(carriers),
  asks: carrierAsks,
  suffix: ".yaml",
  arguments: (configPath) => ["run", "-c", configPath],
  needsRoot: "raw packets",
  proxy: clientProxy,
  configure: configurePaqet,
};

const gfk: ProgramKind = {
  name: "gfk",
  summary: "Packets of no TCP connection, by the program of GFW-knocker.",
  settings: z.object(carriers),
  asks: carrierAsks,
  suffix: ".yaml",
  arguments: (configPath) => ["-config", configPath],
  needsRoot: "raw packets",
  proxy: clientProxy,
  configure: configureGfk,
};

const xray: ProgramKind = {
  name: "xray",
  summary: "A proxy by the program Xray, as it stands behind a gfk server.",
  settings: z.object({
    ...everyProgram,
    listen: listenAddress("127.0.0.1:10808").describe("Where it listens for SOCKS."),
  }),
  asks: () => ({ listen: false }),
  suffix: ".json",
  arguments: (configPath) => ["run", "-c", configPath],
  needsRoot: undefined,
  proxy: (answers) => answersTo(answers, "listen")[0] ?? "127.0.0.1:10808",
  configure: configureXray,
};

export const programKinds: readonly ServiceKind[] = [paqet, gfk, xray].map(serviceKind);

function serviceKind(kind: ProgramKind): ServiceKind {
  const { name, summary, settings, suffix } = kind;
  return {
    name,
    summary,
    settings,
    questions: (answers) => questionsOf(kind, answers),
    suggests: {},
    needsRoot: () => kind.needsRoot,
    async configFile(answers, context): Promise<ConfigFile | undefined> {
      if (answersTo(answers, "config").length > 0) return undefined;
      const value = await kind.configure(answers, context);
      const write = (shown: unknown) => suffix === ".json" ? `${JSON.stringify(shown, null, 2)}\n` : stringify(shown);
      const text = write(value);
      const isMissing = text.includes(NO_ADDRESS);
      const note = `The gateway's hardware address was not found: put it in place of ${NO_ADDRESS}`;
      return { suffix, text, shown: write(withoutKeys(value)), ...isMissing && { note } };
    },
    words(answers, configPath) {
      const proxy = kind.proxy(answers);
      return {
        command: [programOf(name, answers), ...kind.arguments(configPath ?? "")],
        listen: proxy === undefined ? [] : [proxy],
        ...proxy !== undefined && { proxy: `socks5://${reachableAt(proxy)}` },
      };
    },
  };
}

function questionsOf({ settings, asks }: ProgramKind, answers: Answers): Question[] {
  const fields = fieldsOf(settings);
  return Object.entries(asks(answers)).map(([key, needed]) => {
    const field = fields.find(({ fileKey }) => fileKey === key)!;
    return {
      key,
      text: `${field.description}${field.choices.length > 0 ? ` One of: ${field.choices.join(", ")}.` : ""}`,
      ...field.defaultText !== undefined && { fallback: field.defaultText },
      secret: field.secret ?? false,
      needed,
      several: false,
    };
  });
}

/** Its whole path, as a service file needs it. */
function programOf(name: string, answers: Answers): string {
  return answersTo(answers, "program").at(-1) ?? findProgram(name) ?? `/usr/local/bin/${name}`;
}

function isServer(answers: Answers): boolean {
  return answersTo(answers, "side").at(-1) === "server";
}

/** What stands in a configuration that is there already is not asked again. */
function carrierAsks(answers: Answers): Readonly<Record<string, boolean>> {
  const isWritten = answersTo(answers, "config").length === 0;
  if (isServer(answers)) return { side: false, ...isWritten && { port: true, key: true } };
  return { side: false, ...isWritten && { server: true, key: true }, listen: false };
}

function clientProxy(answers: Answers): string | undefined {
  return isServer(answers) ? undefined : answersTo(answers, "listen")[0] ?? "127.0.0.1:1080";
}

async function configurePaqet(answers: Answers, { findRoute }: KindContext): Promise<unknown> {
  const key = needed("paqet", answers, "key");
  const place = isServer(answers) ? undefined : needed("paqet", answers, "server");
  const { host } = parseTarget(place ?? "") ?? { host: PUBLIC_ADDRESS };
  const { interfaceName, source, gatewayMac } = await findRoute(host);
  const family = source.includes(":") ? "ipv6" : "ipv4";
  const port = place === undefined ? Number(needed("paqet", answers, "port")) : 0;
  return {
    role: place === undefined ? "server" : "client",
    log: { level: "info" },
    ...place === undefined
      ? { listen: { addr: `:${port}` } }
      : { socks5: [{ listen: clientProxy(answers) }], server: { addr: place } },
    network: {
      interface: interfaceName,
      [family]: { addr: formatTarget({ host: source, port }), router_mac: gatewayMac ?? NO_ADDRESS },
    },
    transport: { protocol: "kcp", kcp: { mode: "fast", block: "aes", key } },
  };
}

function configureGfk(answers: Answers, _context: KindContext): Promise<unknown> {
  const key = needed("gfk", answers, "key");
  if (isServer(answers)) {
    const port = Number(needed("gfk", answers, "port"));
    return Promise.resolve({
      mode: "server",
      transport: "kcp",
      carrier: { server_port: port },
      firewall: { manage: "yes" },
      auth: { key },
      server: { backend_ip: "127.0.0.1", allow_socks5: true },
    });
  }
  const place = needed("gfk", answers, "server");
  const { host, port } = parseTarget(place)!;
  return Promise.resolve({
    mode: "client",
    transport: "kcp",
    carrier: { vps_ip: host, server_port: port },
    firewall: { manage: "yes" },
    auth: { key },
    client: { socks5_listen: clientProxy(answers) },
  });
}

function configureXray(answers: Answers, _context: KindContext): Promise<unknown> {
  const { host, port } = parseTarget(xray.proxy(answers)!.replace(/^:/, "0.0.0.0:"))!;
  return Promise.resolve({
    log: { loglevel: "warning" },
    inbounds: [{ listen: host, port, protocol: "socks", settings: { udp: true } }],
    outbounds: [{ protocol: "freedom" }],
  });
}

/** No machine has it: paqet must be told one. */
const NO_ADDRESS = "00:00:00:00:00:00";

/** Anything out there: only by which interface it leaves is of interest. */
const PUBLIC_ADDRESS = "192.0.2.1";

function needed(name: string, answers: Answers, key: string): string {
  const answer = answersTo(answers, key).at(-1);
  if (answer) return answer;
  throw new CulvertError(
    "bad_option",
    `Cannot install ${name}: ${key} must be given, or config, the file it has already`,
  );
}

/** For showing. */
function withoutKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutKeys);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name, name === "key" ? "(not shown)" : withoutKeys(inner)]),
  );
}
