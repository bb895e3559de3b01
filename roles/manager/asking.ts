/**
 * How the commands of `culvert manager` ask the manager that runs, and what they say where none does.
 *
 *   culvert manager status ──▶ manager.sock ──▶ report │ none runs: how to start one, exit 1
 */

import { CulvertError } from "../../protocol/errors.ts";
import { SERVICE_NAME } from "../../protocol/manager/service.ts";
import type { ManagerReport, ServiceReport, ServiceStats } from "../../protocol/manager/report.ts";
import { z } from "zod";
import { didYouMean } from "../config/names.ts";
import { askControlSocket } from "../control_socket.ts";
import type { RoleContext } from "../role.ts";
import { type Places, placesConfig, placesOf, type PlacesSettings, thisPlacesHost } from "./places.ts";
import { type ManagerAnswer, type ManagerRequest, managerWords } from "./words.ts";

/** A request has 4 KiB, a name 32 characters. */
const NAMES_PER_REQUEST = 100;

/** Services, as they are named on the command line. */
export function serviceNames(description: string): z.ZodType<string[]> {
  const name = z.string().regex(SERVICE_NAME, "the name of a service, such as kcp").meta({ placeholder: "service" });
  return z.array(name).max(1000).default([]).describe(description)
    .meta({ positional: true, placeholder: "service", rule: "the name of a service, such as kcp" });
}

/** The flags that every one of them has. */
export const askingConfig = placesConfig;

export type AskingContext = Pick<RoleContext, "clock" | "signal" | "stateDir">;

export class Asking {
  readonly places: Places;
  readonly #context: AskingContext;

  constructor(settings: PlacesSettings, context: AskingContext) {
    this.places = placesOf(settings, context.stateDir, thisPlacesHost((name) => Deno.env.get(name)));
    this.#context = context;
  }

  /** Of every service; undefined where no manager answers. */
  async tryReport(): Promise<ManagerReport | undefined> {
    const answer = await this.#ask({ do: "report" });
    return answer && asReport(answer);
  }

  /** Of every service. Rejects with `no_manager` where none answers. */
  async report(): Promise<ManagerReport> {
    return await this.tryReport() ?? this.refuse();
  }

  /** Of every service. Rejects with `no_manager` where none answers. */
  async stats(): Promise<{ readonly nowMs: number; readonly stats: readonly ServiceStats[] }> {
    const answer = await this.#ask({ do: "stats" }) ?? this.refuse();
    if ("stats" in answer) return answer;
    throw wrongAnswer();
  }

  /** Has it done to them; how it goes, reports tell. */
  async order(deed: Deed, names: readonly string[]): Promise<void> {
    for (let at = 0; at < names.length; at += NAMES_PER_REQUEST) {
      const some = names.slice(at, at + NAMES_PER_REQUEST);
      if (!await this.#ask({ do: deed, names: [...some] })) this.refuse();
    }
  }

  /** For whoever cannot go on without a manager. */
  refuse(): never {
    throw new CulvertError("no_manager", `Cannot ask the manager: ${noManagerText(this.places)}`);
  }

  #ask(request: ManagerRequest): Promise<ManagerAnswer | undefined> {
    return askControlSocket({ path: this.places.socket, words: managerWords }, request, this.#context);
  }
}

export type Deed = "start" | "stop" | "restart";

function asReport(answer: ManagerAnswer): ManagerReport {
  if ("services" in answer) return answer;
  throw wrongAnswer();
}

function wrongAnswer(): CulvertError {
  return new CulvertError("bad_answer", "Cannot ask the manager: it answers something else, being of another version");
}

/** That none runs, and what to do. */
export function noManagerText({ backend, socket }: Places): string {
  const start = backend === "systemd" ? "systemctl start culvert-manager" : "culvert manager";
  return `none runs here, which would answer at ${socket}; start it with: ${start}`;
}

/** Those that are named, in that order; all where none is. Rejects with `unknown_service` and what may have been meant. */
export function chosenServices<T extends Pick<ServiceReport, "name">>(
  names: readonly string[],
  services: readonly T[],
): T[] {
  if (names.length === 0) return [...services];
  return [...new Set(names)].map((name) => {
    const found = services.find((service) => service.name === name);
    if (found) return found;
    const known = services.map((service) => service.name);
    const hint = didYouMean(name, known);
    throw new CulvertError("unknown_service", `Cannot find ${name}: there is no such service${hint}`);
  });
}
