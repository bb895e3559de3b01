/**
 * What a kind of service is, for whoever installs one: what may be set, what has to be asked, and what the answers come to.
 *
 *   kind ─ questions ─▶ answers ─▶ configuration, and what the service file says: role or command, ports, proxy
 */

import type { z } from "zod";
import type { Answers } from "./config_text.ts";

export interface Question {
  /** The key that a file has for it. */
  readonly key: string;
  /** In plain words. */
  readonly text: string;
  /** What Enter stands for. */
  readonly fallback?: string;
  readonly secret: boolean;
  /** Nothing will not do. */
  readonly needed: boolean;
  /** Several may be given, separated by spaces. */
  readonly several: boolean;
}

/** A configuration to be written. */
export interface ConfigFile {
  /** How its name ends: `.toml`. */
  readonly suffix: string;
  readonly text: string;
  /** The same without secrets, to be shown. */
  readonly shown: string;
  /** What is missing in it, and has to be put there. */
  readonly note?: string;
}

/** What a service file says of it. */
export interface ServiceWords {
  /** Of our own roles. */
  readonly role?: string;
  /** Rights of root that it needs, by the answers; undefined where its name alone tells. */
  readonly capabilities?: readonly string[];
  /** What cannot stand in a configuration file. */
  readonly flags?: readonly string[];
  /** Of other programs. */
  readonly command?: readonly string[];
  /** What will listen: `host:port`, `udp:host:port`. */
  readonly listen: readonly string[];
  /** Its proxy, for a request end to end: `socks5://…`. */
  readonly proxy?: string;
}

export interface ServiceKind {
  readonly name: string;
  readonly summary: string;
  readonly settings: z.ZodObject;
  /** One answer may make another question needless: a server is not asked for its server. */
  questions(answers: Answers): readonly Question[];
  /** What is written where nothing else is said. */
  readonly suggests: Answers;
  /** Why only root may do it, where nobody hands out capabilities. */
  needsRoot(answers: Answers): string | undefined;
  /** Undefined where it has a file of its own already. */
  configFile(answers: Answers, context: KindContext): Promise<ConfigFile | undefined>;
  /** What a configuration that is there says, with what no file can say; undefined where it cannot be read. */
  answersIn?(text: string, answers: Answers): Answers | undefined;
  /** `configPath` is where that file is, or will be. */
  words(answers: Answers, configPath: string | undefined): ServiceWords;
}

export interface KindContext {
  readonly serviceName: string;
  readonly findRoute: FindRoute;
}

/** How packets get to an address from here: what programs that make their own frames must be told. */
export type FindRoute = (address: string) => Promise<FoundRoute>;

export interface FoundRoute {
  readonly interfaceName: string;
  readonly source: string;
  /** Undefined on interfaces without hardware addresses, and where nobody answers for it. */
  readonly gatewayMac?: string;
}

/** The values of a setting, whether one or several may be given. */
export function answersTo(answers: Answers, key: string): readonly string[] {
  return [answers[key] ?? []].flat();
}

/** Where this machine reaches what listens there. */
export function reachableAt(listen: string): string {
  return listen.replace(/^(?:0\.0\.0\.0)?:(?=\d+$)/, "127.0.0.1:").replace(/^\[::\]:/, "[::1]:");
}

/** A port that the system chooses is not known beforehand. */
export function isKnownPort(listen: string): boolean {
  return !/:0$/.test(listen);
}
