/**
 * A document as a story that a reader lives through: its commands from top to bottom, on the machines it speaks of.
 *
 * What a command needs to be told is nothing, as a rule: it runs on the first machine and must end with 0; a role that stays is
 * awaited until it is ready, left running, and stopped at the end, which must give 0 as well. A `Turn` says what is
 * different for the commands that begin like it. To add a document is to do nothing, or to add a file to `stories/`.
 */

import type { MachineSpec, Scene } from "./scene/scene.ts";

export interface Story {
  readonly document: string;
  /** The first is where commands run of which nothing else is said. */
  readonly machines?: Readonly<Record<string, MachineSpec>>;
  /** Files in the folder that all work in, beside chain.pem and key.pem. */
  readonly files?: Readonly<Record<string, string>>;
  /** What placeholders stand for, such as CODE; those that only a run can tell are learnt in turns. */
  readonly known?: Readonly<Record<string, string>>;
  /** What the document takes for granted, before its first command. */
  readonly before?: (play: Play) => Promise<void>;
  readonly turns?: readonly Turn[];
}

export interface Turn {
  /** How the commands begin that this is about; with `$` at its end it is all of them. One at least must. */
  readonly begins: string;
  /** The machine; all of them for what a reader would type on each. */
  readonly on?: string;
  /** What is typed instead of a part of it: `[["…", "'secret'"]]`. */
  readonly instead?: readonly (readonly [string, string])[];
  /** What is typed on its standard input. */
  readonly input?: string;
  /** Whether it stays until it is stopped; guessed from the role's name when not said. */
  readonly stays?: boolean;
  /** The exit code it must end with, when it does not stay: 0 when not said. */
  readonly code?: number;
  /** What it must have printed; one that stays is ready then. */
  readonly prints?: RegExp;
  /** Whether the lines that the document shows come as chance will have it. */
  readonly anyOrder?: boolean;
  /** The exit code after SIGTERM of one that stays: 0 when not said. */
  readonly stopCode?: number;
  /**
   * Values of placeholders in what follows, by the first group of a pattern in what it printed. Of a name such as `PEERID@eu`
   * the first word is replaced, where the rest stands behind it.
   */
  readonly learns?: Readonly<Record<string, RegExp>>;
  /** Done before it and after it. */
  readonly before?: (play: Play) => Promise<void>;
  readonly after?: (play: Play) => Promise<void>;
}

/** What a story's own steps can do. */
export interface Play {
  readonly scene: Scene;
  readonly known: Map<string, string>;
  /** Types a command that no document has, as if it had; gives what it printed. */
  type(text: string, turn?: Omit<Turn, "begins">): Promise<string>;
  /** Stops what was started by a command that begins so. */
  stop(begins: string): Promise<void>;
  /** Stops all that runs, the last first. */
  stopAll(): Promise<void>;
}

/** Commands that stay in the foreground until they are stopped. */
const STAYING =
  /^(up|proxy|tunnel|base|supernode|exit|client|upstream|central|downstream|relay|gateway|kcp (server|client)|vtcp (server|client)|relay-packets|orchestrator|node|tracker|peer|manager|kcp dump|wireguard up)(?= |$)/;
const ENDING =
  /^(wireguard up .*--detach|proxy report|client (up .*--detach|down|status)|relay-packets .*--show|node (status|pause|resume|consent)|peer (get|ls|search|share|invitations|revoke|open|status)|manager (install|uninstall|doctor|list|status|start|stop|restart|logs|stats|watch))(?= |$)/;

/** Whether a command is of a role that stays. */
export function staysByItself(text: string): boolean {
  const [, role] =
    /^(?:sudo )?(?:\w+=\S* )*(?:culvert|(?:npx -y deno@\S+|deno) task|deno run -A roles\/)\s*(.*)$/s.exec(text) ?? [];
  const words = role?.replace(/^(\w+)\.ts/, "$1");
  return words !== undefined && STAYING.test(words) && !ENDING.test(words) &&
    !/[|;&]/.test(words.replace(/'[^']*'/g, ""));
}
