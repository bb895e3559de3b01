/**
 * From a zod object schema to a flat list of fields: what every flag, variable, file key, help line and completion is
 * made from.
 *
 *   z.object({ listen: …, limits: z.object({ maxStreams: … }) })  →  listen, limits.maxStreams
 *
 * The words come from zod's own `.describe()` and `.meta(FieldMeta)`, looked for through wrappers (optional, default,
 * pipe …), the outermost first. The schema itself validates; nothing here knows what a value must be.
 */

import type { z } from "zod";
import { CulvertError } from "../../protocol/errors.ts";
import { environmentName, fileKey, flagName } from "./names.ts";

/** What a schema's `.meta()` may say about a setting. */
export interface FieldMeta {
  /** One sentence for the help; the same as `.describe()`. */
  readonly description?: string;
  /** What stands for the value in the help: `host:port`. */
  readonly placeholder?: string;
  /** What a value must be, as in "must be …". Said when zod only knows that the type is wrong. */
  readonly rule?: string;
  readonly example?: string;
  /** A one-letter flag. */
  readonly short?: string;
  /** Another flag that says the same, without the dashes. */
  readonly alsoFlag?: string;
  /** Never repeated in messages or shown as a default. */
  readonly secret?: boolean;
  /** Another variable that it is read from where its own is not set: one that other programs of its kind know. */
  readonly alsoFrom?: string;
  /** Given as a bare word (`culvert completions bash`), not as a flag, a variable or in a file. */
  readonly positional?: boolean;
  readonly completes?: "file" | "directory";
  /** What the help says is the default when the schema cannot know it. */
  readonly defaultText?: string;
  /** The setting that names the config file. */
  readonly configFile?: boolean;
}

export type FieldKind = "string" | "number" | "boolean" | "enum";

export interface Field extends FieldMeta {
  /** Keys from the outermost object inwards. */
  readonly path: readonly string[];
  readonly kind: FieldKind;
  /** An array: the flag may be repeated. */
  readonly repeatable: boolean;
  /** What an enum allows. */
  readonly choices: readonly string[];
  readonly required: boolean;
  /** How the default reads; absent when there is none or it is a secret. */
  readonly defaultText?: string;
  /** Without the dashes. */
  readonly flag: string;
  readonly environment: string;
  readonly fileKey: string;
}

/** The parts of a zod definition that are walked here; zod's own types know one shape per class only. */
interface Definition {
  readonly type: string;
  readonly innerType?: z.ZodType;
  readonly in?: z.ZodType;
  readonly out?: z.ZodType;
  readonly element?: z.ZodType;
  readonly shape?: Readonly<Record<string, z.ZodType>>;
  readonly entries?: Readonly<Record<string, string | number>>;
  readonly values?: readonly unknown[];
  readonly options?: readonly z.ZodType[];
  readonly defaultValue?: unknown;
}

interface Unwrapped {
  readonly definition: Definition;
  readonly meta: FieldMeta;
  readonly required: boolean;
  readonly defaultValue: unknown;
}

const WRAPPERS = new Set(["optional", "nullable", "default", "prefault", "readonly", "catch", "nonoptional"]);

/** Every setting of a schema, in the order they are written, nested objects laid flat. */
export function fieldsOf(schema: z.ZodObject): Field[] {
  return collect(schema.shape as Record<string, z.ZodType>, []);
}

function collect(shape: Readonly<Record<string, z.ZodType>>, parents: readonly string[]): Field[] {
  return Object.entries(shape).flatMap(([key, schema]) => {
    const path = [...parents, key];
    const unwrapped = unwrap(schema);
    const inner = unwrapped.definition.shape;
    return inner ? collect(inner, path) : [fieldOf(path, unwrapped)];
  });
}

function fieldOf(path: readonly string[], outer: Unwrapped): Field {
  const repeatable = outer.definition.type === "array";
  const value = repeatable ? unwrap(outer.definition.element!) : outer;
  const meta = { ...value.meta, ...outer.meta };
  const defaultText = meta.defaultText ?? (meta.secret ? undefined : textOf(outer.defaultValue));
  return {
    ...meta,
    path,
    repeatable,
    ...kindOf(path, value.definition),
    required: outer.required,
    ...(defaultText === undefined ? {} : { defaultText }),
    flag: flagName(path),
    environment: environmentName(path),
    fileKey: fileKey(path),
  };
}

/** Looks through wrappers for the schema that says what is typed in, gathering what they say on the way. */
function unwrap(schema: z.ZodType): Unwrapped {
  let current = schema;
  let meta: FieldMeta = {};
  let required = true;
  let defaultValue: unknown;
  while (true) {
    meta = { ...current.meta() as FieldMeta | undefined, ...meta };
    const definition = current._zod.def as Definition;
    if (WRAPPERS.has(definition.type)) {
      if (["optional", "default", "prefault", "catch"].includes(definition.type)) required = false;
      defaultValue ??= definition.defaultValue;
      current = definition.innerType!;
    } else if (definition.type === "pipe") {
      // z.preprocess is a pipe that starts with a transform: there, what is typed in is only described by its end.
      current = definition.in!._zod.def.type === "transform" ? definition.out! : definition.in!;
    } else {
      return { definition, meta, required, defaultValue };
    }
  }
}

function kindOf(path: readonly string[], definition: Definition): { kind: FieldKind; choices: readonly string[] } {
  switch (definition.type) {
    case "string":
    case "number":
    case "boolean":
      return { kind: definition.type, choices: [] };
    case "enum":
      return { kind: "enum", choices: Object.values(definition.entries!).map(String) };
    case "literal":
      return { kind: "enum", choices: definition.values!.map(String) };
    case "union": {
      const kinds = definition.options!.map((option) => kindOf(path, unwrap(option).definition));
      if (kinds.every(({ kind }) => kind === "enum")) {
        return { kind: "enum", choices: kinds.flatMap(({ choices }) => choices) };
      }
      if (kinds.some(({ kind }) => kind === "string")) return { kind: "string", choices: [] };
    }
  }
  throw new CulvertError(
    "bad_schema",
    `Cannot make a flag of ${path.join(".")}: its type must be text, number, boolean, enum, a list of one of these ` +
      `or an object of them, got ${definition.type}`,
  );
}

function textOf(value: unknown): string | undefined {
  if (value === undefined || value === null || value === false || value === "") return undefined;
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.join(",");
  return typeof value === "object" ? undefined : String(value);
}

/** The nested objects that must be there even when nothing in them is set, so that their own defaults apply. */
export function requiredGroups(schema: z.ZodObject): string[][] {
  return groupsIn(schema.shape as Record<string, z.ZodType>, []);
}

function groupsIn(shape: Readonly<Record<string, z.ZodType>>, parents: readonly string[]): string[][] {
  return Object.entries(shape).flatMap(([key, schema]) => {
    const { definition, required } = unwrap(schema);
    const path = [...parents, key];
    return definition.shape && required ? [path, ...groupsIn(definition.shape, path)] : [];
  });
}
