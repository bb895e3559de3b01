/**
 * The text of a service file: what is known of the service, and all else that can be said behind a `#`.
 */

import type { Answers } from "./config_text.ts";
import { configText, tomlText } from "./config_text.ts";
import { serviceFileSchema } from "../service_schema.ts";

export interface ServiceFileWords {
  readonly name: string;
  /** By the keys of a service file. */
  readonly settings: Answers;
  readonly environment: Readonly<Record<string, string>>;
}

export function serviceText({ name, settings, environment }: ServiceFileWords): string {
  const head = [
    `The service ${name}. Changes count from the next time that the manager reads it (culvert manager, SIGHUP)`,
    "and, where they change its command, from its next start.",
  ];
  const variables = Object.entries(environment).map(([key, value]) => `${key} = ${tomlText(value)}`);
  return [
    configText(serviceFileSchema, settings, { head }),
    "# Variables for it.",
    "[environment]",
    ...variables,
    "",
    "# Its own settings of the watchdog, by the names of watchdog.toml.",
    "[watchdog]",
    "#max_restarts = 5",
    "",
  ].join("\n");
}
