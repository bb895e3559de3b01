/**
 * An OpenAPI 3.1 document made from the very schemas that requests are checked with, so that the two cannot differ.
 * Schemas with a name become components and are referred to; the others are written where they are used.
 *
 * Specs: OpenAPI 3.1.1; JSON Schema 2020-12, which it builds on. RFC 9421 signatures have no scheme of their own in
 * OpenAPI: they appear as the header they are in, with a description.
 */

import { z } from "zod";
import { httpProblemSchema } from "../protocol/http_problem.ts";
import { type ProblemCode, problems } from "./problem.ts";

/** An answer that is no problem. */
export interface Answer {
  /** 101 is a WebSocket; 503 is one that says what is missing in a form of its own. */
  readonly status: 101 | 200 | 201 | 202 | 204 | 503;
  /** Nothing comes with it when left out. */
  readonly schema?: z.ZodType;
  readonly description: string;
  /** What it is instead of JSON; the schema is of what it carries then. */
  readonly type?: string;
  /** What else than JSON it can be, when asked for. */
  readonly alsoAs?: string;
}

/** One thing an API does: what it takes, what it answers. */
export interface Operation<Code extends string = ProblemCode> {
  readonly id: string;
  readonly method: "get" | "post" | "put" | "delete";
  /** `{name}` stands for a part that `params` describes. */
  readonly path: string;
  /** One sentence without its full stop. */
  readonly summary: string;
  readonly description: string;
  /** Whether the request must carry a signature. */
  readonly signed?: boolean;
  /** The role that whoever asks must have, shown by a bearer token. */
  readonly role?: string;
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
  /** What the body is instead of JSON. */
  readonly bodyType?: string;
  readonly answer: Answer;
  /** What else it can answer. */
  readonly others?: readonly Answer[];
  readonly problems: readonly Code[];
}

/** One whose answer is always an object in JSON. */
export interface JsonOperation extends Operation {
  readonly answer: Answer & { readonly status: 200 | 201; readonly schema: z.ZodType };
}

/** What can go wrong: code → status and meaning. */
export type ProblemTable<Code extends string = string> = Readonly<
  Record<Code, { readonly status: number; readonly title: string }>
>;

/** A schema under a name of its own. */
export interface NamedSchema {
  readonly name: string;
  readonly schema: z.ZodType;
  readonly description?: string;
}

export interface ApiDescription<Code extends string = ProblemCode> {
  readonly title: string;
  readonly version: string;
  readonly description: string;
  readonly operations: readonly Operation<Code>[];
  readonly schemas: readonly NamedSchema[];
  /** Of which its operations name some. Default: those of `problem.ts`. */
  readonly problems?: ProblemTable<Code>;
  /** What a bearer token is, where it is not that of a login. */
  readonly bearer?: string;
}

/** As much of JSON Schema as comes out of zod. */
export interface JsonSchema {
  readonly [keyword: string]: unknown;
  readonly $ref?: string;
  readonly type?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
}

export interface OpenApiOperation {
  readonly operationId: string;
  readonly summary: string;
  readonly description: string;
  readonly security?: readonly Readonly<Record<string, readonly string[]>>[];
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: "query" | "path";
    readonly required: boolean;
    readonly schema: JsonSchema;
  }[];
  readonly requestBody?: { readonly required: true; readonly content: OpenApiContent };
  readonly responses: Readonly<Record<string, OpenApiResponse>>;
  /** The codes of the problems it can meet with. */
  readonly "x-problems": readonly string[];
}

export interface OpenApiResponse {
  readonly description: string;
  readonly content?: OpenApiContent;
}

export type OpenApiContent = Readonly<Record<string, { readonly schema: JsonSchema }>>;

export interface OpenApiDocument {
  readonly openapi: "3.1.1";
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, OpenApiOperation>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, JsonSchema>>;
    readonly securitySchemes: Readonly<Record<string, Readonly<Record<string, string>>>>;
  };
  /** What the codes of problems mean. */
  readonly "x-problems": ProblemTable;
}

const COMPONENTS = "#/components/schemas/";
const SIGNATURE = "signature";
const BEARER = "bearer";
const BEARER_DESCRIPTION =
  "Authorization: Bearer <token> (RFC 6750): an access token of a login, good for minutes, or an " +
  "API key, good until it is revoked.";
const SIGNATURE_DESCRIPTION = "RFC 9421 message signature with Ed25519, in the headers Content-Digest (sha-256), " +
  "Signature-Input and Signature. It covers @method, @authority, @path, @query and content-digest; its parameters are " +
  "created, nonce (16 to 64 characters of base64url, used once), keyid (the identity's public key in base64), " +
  'alg="ed25519" and tag="culvert/http/v1". Good for 60 seconds either way.';

export function openApiOf<Code extends string = ProblemCode>(api: ApiDescription<Code>): OpenApiDocument {
  const named: readonly NamedSchema[] = [...api.schemas, {
    name: "Problem",
    schema: httpProblemSchema,
    description: "What went wrong (RFC 9457); code is for programs.",
  }];
  const names = new Map(named.map(({ name, schema }) => [schema, name]));
  const componentOrSchema = (schema: z.ZodType): JsonSchema => {
    const name = names.get(schema);
    return name === undefined ? plain(z.toJSONSchema(schema, { io: "input" })) : { $ref: COMPONENTS + name };
  };
  const problemTable: ProblemTable = api.problems ?? problems;
  const paths: Record<string, Record<string, OpenApiOperation>> = {};
  for (const operation of api.operations) {
    (paths[operation.path] ??= {})[operation.method] = describe(operation, { problemTable, componentOrSchema });
  }
  const { title, version, description } = api;
  return {
    openapi: "3.1.1",
    info: { title, version, description },
    paths,
    components: {
      schemas: components(named),
      securitySchemes: {
        ...(api.operations.some(({ signed }) => signed) && {
          [SIGNATURE]: { type: "apiKey", in: "header", name: "Signature", description: SIGNATURE_DESCRIPTION },
        }),
        ...(api.operations.some(({ role }) => role !== undefined) && {
          [BEARER]: { type: "http", scheme: "bearer", description: api.bearer ?? BEARER_DESCRIPTION },
        }),
      },
    },
    "x-problems": problemTable,
  };
}

function components(named: readonly NamedSchema[]): Record<string, JsonSchema> {
  const registry = z.registry<{ id: string; description?: string }>();
  for (const { name, schema, description } of named) {
    registry.add(schema, { id: name, ...(description !== undefined && { description }) });
  }
  const { schemas } = z.toJSONSchema(registry, { io: "input", uri: (id) => COMPONENTS + id });
  return Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, plain(schema)]));
}

/** Without what says which document it is: it is part of a larger one. */
function plain({ $schema: _, $id: __, ...schema }: Readonly<Record<string, unknown>>): JsonSchema {
  return schema;
}

interface Tools {
  readonly problemTable: ProblemTable;
  componentOrSchema(schema: z.ZodType): JsonSchema;
}

function describe(operation: Operation<string>, { problemTable, componentOrSchema }: Tools): OpenApiOperation {
  const { id, summary, description, signed, role, body, bodyType = "application/json" } = operation;
  const parameters = (["path", "query"] as const).flatMap((where) => parametersOf(where, operation, componentOrSchema));
  const responses: Record<string, OpenApiResponse> = {};
  for (const answer of [operation.answer, ...operation.others ?? []]) {
    responses[answer.status] = responseOf(answer, componentOrSchema);
  }
  for (const [status, codes] of Map.groupBy(operation.problems, (code) => problemTable[code]!.status)) {
    const told = codes.map((code) => `${code}: ${problemTable[code]!.title}.`).join(" ");
    const before = responses[status];
    responses[status] = {
      description: before ? `${before.description} ${told}` : told,
      content: { ...before?.content, "application/problem+json": { schema: componentOrSchema(httpProblemSchema) } },
    };
  }
  return {
    operationId: id,
    summary,
    description,
    ...(signed && { security: [{ [SIGNATURE]: [] }] }),
    ...(role !== undefined && { security: [{ [BEARER]: [role] }] }),
    ...(parameters.length > 0 && { parameters }),
    ...(body && { requestBody: { required: true, content: { [bodyType]: { schema: componentOrSchema(body) } } } }),
    responses,
    "x-problems": operation.problems,
  };
}

function responseOf({ description, schema, type = "application/json", alsoAs }: Answer, schemaOf: SchemaOf) {
  if (!schema) return { description };
  return {
    description,
    content: {
      [type]: { schema: schemaOf(schema) },
      ...(alsoAs !== undefined && { [alsoAs]: { schema: { type: "string" } } }),
    },
  };
}

type SchemaOf = Tools["componentOrSchema"];

function parametersOf(
  where: "query" | "path",
  { query, params }: Operation<string>,
  schemaOf: SchemaOf,
): NonNullable<OpenApiOperation["parameters"]> {
  const fields = where === "query" ? query : params;
  return Object.entries(fields?.shape ?? {}).map(([name, field]) => {
    const schema = (field instanceof z.ZodOptional ? field.unwrap() : field) as z.ZodType;
    const isOptional = field instanceof z.ZodOptional || field instanceof z.ZodDefault;
    return { name, in: where, required: !isOptional, schema: schemaOf(schema) };
  });
}
