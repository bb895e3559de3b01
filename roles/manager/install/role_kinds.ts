/**
 * Roles of ours as something to install: what may be set is their own schema, and what has to be asked is what that requires,
 * with the little of this table: what a role is of no use without though its schema can do without, and what listens.
 */

import { needsOfFlags, type ProgramNeeds } from "../../../protocol/manager/program_needs.ts";
import { type Field, fieldsOf } from "../../config/schema.ts";
import { type Role, roleGroups } from "../../role.ts";
import { type Answers, answersOfToml, configText } from "./config_text.ts";
import { answersTo, isKnownPort, type Question, reachableAt, type ServiceKind, type ServiceWords } from "./kind.ts";

interface RoleHint {
  /** Asked, and an answer is needed. */
  readonly needs?: readonly string[];
  /** Asked, and Enter will do. */
  readonly asks?: readonly string[];
  /** What is written where nothing else is said. */
  readonly suggests?: Readonly<Record<string, string>>;
  /** Settings that say where TCP is listened for. */
  readonly tcp?: readonly string[];
  /** The same for UDP. */
  readonly udp?: readonly string[];
  /** The setting that says where its proxy is. */
  readonly proxy?: string;
}

const server: RoleHint = { asks: ["listen"], tcp: ["listen"] };
const localProxy: RoleHint = { ...server, proxy: "listen" };
const transportClient: RoleHint = { ...localProxy, needs: ["server"], suggests: { listen: "127.0.0.1:1080" } };

/** By the keys that a file has for settings. */
const hints: Readonly<Record<string, RoleHint>> = {
  "proxy": { ...localProxy, asks: ["listen", "path"] },
  "tunnel": { ...server, asks: ["listen", "token"] },
  "wireguard": { needs: ["conf"], suggests: { action: "up" } },
  "base": server,
  "supernode": { ...server, asks: ["listen", "base"] },
  "client": { ...localProxy, needs: ["supernode"] },
  "upstream": server,
  "central": server,
  "downstream": server,
  "relay": { ...server, asks: ["listen", "base", "tracker"] },
  "kcp-server": { asks: ["ports", "carrier"], suggests: { ports: "4000", carrier: "udp" } },
  "kcp-client": transportClient,
  "vtcp-server": { asks: ["ports", "carrier"], suggests: { ports: "4001", carrier: "raw" } },
  "vtcp-client": transportClient,
  "relay-packets": { needs: ["client"], asks: ["listen"], udp: ["listen"] },
  "orchestrator": { asks: ["listen", "proxy_listen"], tcp: ["listen", "proxy_listen"] },
  "node": { needs: ["code", "yes"] },
  "tracker": { ...server, suggests: { listen: "0.0.0.0:3000" } },
  "peer": { asks: ["tracker"] },
};

export function roleKind(role: Role): ServiceKind {
  const hint = hints[role.name] ?? {};
  const { config: _config, json: _json, ...common } = roleGroups(role)["Common flags"]!.shape;
  // What holds of several settings at once holds here too.
  const settings = role.config.safeExtend(common);
  const fields = fieldsOf(settings);
  const questions = questionsOf(fields, hint);
  const filled = (answers: Answers): Answers => ({ ...knownDefaults(fields, hint), ...answers });
  return {
    name: role.name,
    summary: role.summary,
    settings,
    questions: () => questions,
    suggests: hint.suggests ?? {},
    needsRoot: (answers) => needsRoot(needsOfAnswers(role.name, fields, filled(answers))),
    configFile(answers, { serviceName }) {
      const written: Answers = { ...hint.suggests, ...answers };
      const head = [`Settings of the service ${serviceName}: culvert ${role.name}. Behind a # stands what is not set.`];
      const text = (hidesSecrets: boolean) => configText(settings, written, { head, hidesSecrets });
      return Promise.resolve({ suffix: ".toml", text: text(false), shown: text(true) });
    },
    answersIn(text, answers) {
      const positional = fields.filter((field) => field.positional && answers[field.fileKey] !== undefined);
      const file = answersOfToml(text);
      return file && { ...file, ...Object.fromEntries(positional.map(({ fileKey }) => [fileKey, answers[fileKey]!])) };
    },
    words: (answers) => wordsOf(role, { fields, hint, answers: filled(answers) }),
  };
}

/** What holds of ports where nothing is said, so that the manager knows them as well. */
function knownDefaults(fields: readonly Field[], { suggests, tcp = [], udp = [] }: RoleHint): Answers {
  const ports = fields.filter(({ fileKey }) => [...tcp, ...udp].includes(fileKey));
  const defaults = ports.flatMap(({ fileKey, defaultText }) => defaultText ? [[fileKey, defaultText] as const] : []);
  return { ...Object.fromEntries(defaults), ...suggests };
}

/** In the order in which the role has them, those that need an answer first. */
function questionsOf(fields: readonly Field[], { needs = [], asks = [], suggests = {} }: RoleHint): Question[] {
  const isNeeded = ({ required, fileKey }: Field) =>
    needs.includes(fileKey) || required && suggests[fileKey] === undefined;
  const needed = fields.filter(isNeeded);
  const asked = fields.filter((field) => asks.includes(field.fileKey) && !isNeeded(field));
  return [...needed, ...asked].map((field) => questionOf(field, isNeeded(field), suggests[field.fileKey]));
}

function questionOf(field: Field, needed: boolean, suggestion?: string): Question {
  const choices = field.choices.length > 0 ? ` One of: ${field.choices.join(", ")}.` : "";
  const several = field.repeatable ? " Several are separated by spaces." : "";
  const fallback = suggestion ?? (/^\S+$/.test(field.defaultText ?? "") ? field.defaultText : undefined);
  return {
    key: field.fileKey,
    text: `${field.description ?? field.flag}${choices}${several}`,
    ...fallback !== undefined && { fallback },
    secret: field.secret ?? false,
    needed,
    several: field.repeatable,
  };
}

interface RoleAnswers {
  readonly fields: readonly Field[];
  readonly hint: RoleHint;
  readonly answers: Answers;
}

function wordsOf(role: Role, { fields, hint, answers }: RoleAnswers): ServiceWords {
  const flags = fields.filter(({ positional }) => positional).flatMap(({ fileKey }) => answersTo(answers, fileKey));
  const isPackets = answers.tun === "true";
  const places = (keys: readonly string[] = []) => keys.flatMap((key) => answersTo(answers, key)).filter(isKnownPort);
  const proxy = hint.proxy === undefined || isPackets ? undefined : places([hint.proxy])[0];
  return {
    role: role.name,
    capabilities: needsOfAnswers(role.name, fields, answers).capabilities,
    ...flags.length > 0 && { flags },
    listen: [
      ...role.name === "client" && isPackets ? [] : places(hint.tcp),
      ...places(hint.udp).map((place) => `udp:${place}`),
      ...udpPortsOf(role.name, answers),
    ],
    ...proxy !== undefined && { proxy: `socks5://${userOf(answers)}${reachableAt(proxy)}` },
  };
}

/** Of a server of KCP or vtcp over UDP; what is raw listens nowhere that the kernel knows. */
function udpPortsOf(role: string, answers: Answers): string[] {
  const isRaw = answersTo(answers, "carrier").at(-1) === "raw";
  const port = /^\d+/.exec(answersTo(answers, "ports").at(-1) ?? "")?.[0];
  if (!["kcp-server", "vtcp-server"].includes(role) || isRaw || port === undefined) return [];
  const host = answersTo(answers, "address").at(-1) ?? "0.0.0.0";
  return [`udp:${host.includes(":") ? `[${host}]` : host}:${port}`];
}

/** The proxy's own users may ask as well. */
function userOf(answers: Answers): string {
  const [user] = answersTo(answers, "user");
  const colon = user?.indexOf(":") ?? -1;
  if (user === undefined || colon < 0) return "";
  return `${encodeURIComponent(user.slice(0, colon))}:${encodeURIComponent(user.slice(colon + 1))}@`;
}

/** By what it is told, all of which is known here. */
function needsOfAnswers(role: string, fields: readonly Field[], answers: Answers): ProgramNeeds {
  const flags = fields.flatMap(({ flag, fileKey }) => answersTo(answers, fileKey).map((value) => `--${flag}=${value}`));
  return needsOfFlags(role, flags);
}

function needsRoot({ capabilities, devices }: ProgramNeeds): string | undefined {
  if (capabilities.length === 0) return undefined;
  return devices.length > 0 ? "network interfaces" : "raw packets";
}
