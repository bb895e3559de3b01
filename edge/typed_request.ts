/** Requests read by schemas: a body in JSON, the parameters of the URL. */

import { z } from "zod";
import { Problem, schemaProblem } from "./problem.ts";
import { readBody } from "./read_body.ts";

/** What the body holds, if it is JSON of at most so many bytes and fits the schema; else the problem with it. */
export async function bodyOf(request: Request, schema: z.ZodType, maxBytes: number): Promise<unknown> {
  if (!/^application\/json\s*(;|$)/i.test(request.headers.get("content-type") ?? "")) {
    return new Problem("wrong_type", "Cannot take the request: its Content-Type must be application/json");
  }
  const bytes = await readBody(request, maxBytes);
  if (!bytes) {
    return new Problem("too_large", `Cannot take the request: its body must be at most ${maxBytes} bytes`);
  }
  const parsed = schema.safeParse(parseJson(bytes));
  return parsed.success ? parsed.data : schemaProblem(parsed.error);
}

/** The parameters of the URL; those that the schema has as numbers are read as such. */
export function queryOf(request: Request, schema: z.ZodObject): unknown {
  const given = Object.fromEntries(new URL(request.url).searchParams);
  const read = Object.entries(given).map(([name, text]) => [name, isNumber(schema.shape[name]) ? Number(text) : text]);
  const parsed = schema.safeParse(Object.fromEntries(read));
  return parsed.success ? parsed.data : schemaProblem(parsed.error);
}

function isNumber(field: unknown): boolean {
  const inner = field instanceof z.ZodOptional ? field.unwrap() : field;
  return inner instanceof z.ZodNumber;
}

/** Undefined for what is no JSON in UTF-8, which fits no schema of ours. */
function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
}
