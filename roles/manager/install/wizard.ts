/**
 * Asks whoever sits at the terminal what is to be installed: only what cannot be done without, each with its default.
 *
 *   role ─▶ name ─▶ the role's own questions … ─▶ user ─▶ end-to-end check ─▶ what will be done ─▶ yes
 *      `<` goes one back, `?` says more, `q`, Ctrl-D and Ctrl-C give up; until the last yes nothing is written
 */

import { CulvertError } from "../../../protocol/errors.ts";
import { SERVICE_NAME } from "../../../protocol/manager/service.ts";
import { problemsWith, startOf } from "./answers.ts";
import type { Answers } from "./config_text.ts";
import { answersTo, type Question, type ServiceKind } from "./kind.ts";
import { type KindName, kindOf } from "./kinds.ts";
import { requireUserName } from "./plan.ts";

/** Whoever sits there. */
export interface Person {
  say(line: string): void;
  /** The line that is answered, which nobody else sees where it is secret; undefined when they have gone. */
  ask(prompt: string, signal: AbortSignal, options?: { readonly secret: boolean }): Promise<string | undefined>;
}

/** What is known so far. */
export interface Draft {
  readonly kind?: ServiceKind;
  readonly name?: string;
  readonly answers: Answers;
  /** "" is whoever runs the manager. */
  readonly user?: string;
  /** "" is no check. */
  readonly probeUrl?: string;
}

export interface WizardOptions {
  readonly person: Person;
  readonly kinds: readonly KindName[];
  /** What was known before each question that was answered: `<` takes the last of them. */
  readonly before: Draft[];
  /** The user that is proposed; undefined where no other can be had. */
  proposedUser(draft: Draft): string | undefined;
  readonly signal: AbortSignal;
}

/** A question of the wizard's own, or one of the kind's; `take` throws what is wrong with an answer. */
interface Step {
  readonly text: string;
  readonly more?: readonly string[];
  readonly fallback?: string;
  readonly secret?: boolean;
  take(answer: string): Promise<Draft> | Draft;
}

export const GIVEN_UP = "Nothing is installed: it was given up";

/** Rejects with `given_up`. What the draft says already is not asked. */
export async function askForService(draft: Draft, options: WizardOptions): Promise<Required<Draft>> {
  const { person, before, signal } = options;
  person.say("Enter takes what stands in [brackets]; < goes back, ? says more, q gives up.");
  let current = draft;
  for (;;) {
    current = settled(current, options);
    const step = nextStep(current, options);
    if (!step) return current as Required<Draft>;
    const answer = await answerTo(step, { person, signal });
    if (answer === "<") {
      const last = before.pop();
      if (last) current = last;
      else person.say("This is the first question.");
      continue;
    }
    try {
      const next = await step.take(answer);
      before.push(current);
      current = next;
    } catch (error) {
      if (!(error instanceof CulvertError)) throw error;
      person.say(error.message);
    }
  }
}

async function answerTo(
  { text, more = [], fallback, secret = false }: Step,
  { person, signal }: Pick<WizardOptions, "person" | "signal">,
): Promise<string> {
  person.say("");
  person.say(text);
  for (;;) {
    const shown = fallback === undefined ? "" : `[${fallback === "" ? "none" : fallback}] `;
    const answer = (await person.ask(`${shown}> `, signal, { secret }))?.trim();
    if (answer === undefined || answer === "q") throw new CulvertError("given_up", GIVEN_UP);
    if (answer === "?") { for (const line of more.length > 0 ? more : [text]) person.say(line); }
    else if (answer !== "") return answer;
    else if (fallback !== undefined) return fallback;
    else person.say("This needs an answer.");
  }
}

function nextStep(draft: Draft, options: WizardOptions): Step | undefined {
  const { kind, name, user, probeUrl } = draft;
  if (!kind) return kindStep(draft, options);
  if (name === undefined) return nameStep(draft, kind);
  const question = kind.questions(draft.answers).find(({ key }) => draft.answers[key] === undefined);
  if (question) return questionStep(draft, kind, question);
  if (user === undefined) return userStep(draft, options.proposedUser(draft) ?? "");
  if (probeUrl === undefined) return probeStep(draft);
  return undefined;
}

/** What need not be asked, once all else was. */
function settled(draft: Draft, { proposedUser }: WizardOptions): Draft {
  const { kind, name, answers } = draft;
  if (!kind || name === undefined) return draft;
  const isAsked = kind.questions(answers).every(({ key }) => answers[key] !== undefined);
  const hasProxy = !isAsked || kind.words(givenAnswers(answers), undefined).proxy !== undefined;
  return {
    ...draft,
    ...draft.user === undefined && proposedUser(draft) === undefined && { user: "" },
    ...draft.probeUrl === undefined && !hasProxy && { probeUrl: "" },
  };
}

function kindStep(draft: Draft, { kinds }: WizardOptions): Step {
  const width = Math.max(...kinds.map(({ name }) => name.length));
  return {
    text: "What shall run here? A name; ? lists them.",
    more: kinds.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`),
    take: async (answer) => ({ ...draft, kind: await kindOf(answer) }),
  };
}

function nameStep(draft: Draft, kind: ServiceKind): Step {
  return {
    text: "What shall the service be called? Files, logs and commands go by that name.",
    fallback: kind.name,
    take(answer) {
      if (SERVICE_NAME.test(answer)) return { ...draft, name: answer };
      throw new CulvertError("bad_option", "A name has lower-case letters, digits and dashes, 32 at most.");
    },
  };
}

function questionStep(draft: Draft, kind: ServiceKind, question: Question): Step {
  const { key, text, fallback, needed, several, secret } = question;
  return {
    text,
    secret,
    ...fallback !== undefined ? { fallback } : needed ? {} : { fallback: "" },
    async take(answer) {
      const values = several ? answer.split(/\s+/).filter((value) => value !== "") : answer;
      const answers = { ...draft.answers, [key]: answer === "" ? [] : values };
      const [problem] = await problemsWith([key], givenAnswers(answers), kind);
      if (problem === undefined || answer === "") return { ...draft, answers };
      throw new CulvertError("bad_option", `It ${problem.slice(startOf(key).length)}.`);
    },
  };
}

function userStep(draft: Draft, proposed: string): Step {
  return {
    text: "Which user shall run it? One of its own is made and can do no more than it must; root can do everything.",
    fallback: proposed,
    take(answer) {
      requireUserName(draft.name!, answer);
      return { ...draft, user: answer };
    },
  };
}

function probeStep(draft: Draft): Step {
  return {
    text:
      "A URL to fetch through it now and then, which shows that it carries traffic. It should be one of yours, or of " +
      "somebody who does not mind. With none it is only seen whether it listens.",
    fallback: "",
    take(answer) {
      if (answer === "" || /^https?:$/.test(URL.parse(answer)?.protocol ?? "")) return { ...draft, probeUrl: answer };
      throw new CulvertError("bad_option", "It must be a URL that starts with http: or https:.");
    },
  };
}

/** Those of the answers that say something. */
export function givenAnswers(answers: Answers): Answers {
  return Object.fromEntries(Object.entries(answers).filter(([key]) => answersTo(answers, key).length > 0));
}
