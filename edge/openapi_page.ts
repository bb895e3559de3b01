/**
 * An OpenAPI document as a page for people: plain HTML and one style sheet, no scripts, nothing from elsewhere, so that
 * a policy of `default-src 'none'` is enough. Everything that comes out of the document is escaped by `hono/html`.
 */

import { html } from "hono/html";
import type { JsonSchema, OpenApiContent, OpenApiDocument, OpenApiOperation } from "./openapi.ts";

export const PAGE_HEADERS = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy":
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
} as const;

export interface PageLinks {
  /** Where the document itself is. */
  readonly document: string;
  readonly style: string;
}

type Html = ReturnType<typeof html>;

export async function openApiPage(document: OpenApiDocument, links: PageLinks): Promise<string> {
  const { info, paths, components } = document;
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation }))
  );
  const { signature, bearer } = components.securitySchemes;
  const page = await html`
    <!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <title>${info.title}</title>
        <link rel="stylesheet" href="${links.style}">
      </head>
      <body>
        <header>
          <h1>${info.title} <small>${info.version}</small></h1>
          <p>${info.description}</p>
          <p><a href="${links.document}">openapi.json</a></p>
        </header>
        <nav aria-label="Operations">
          <ul>${operations.map(({ path, method, operation }) =>
            html`<li><a href="#${operation.operationId}"><code>${method.toUpperCase()} ${path}</code></a> ${operation.summary}</li>`
          )}</ul>
        </nav>
        <main>
    ${operations.map(operationSection)}
    ${signature
      ? html`
        <section id="signature">
          <h2>Signed requests</h2>
          <p>${signature.description}</p>
        </section>
      `
      : ""}
    ${bearer
      ? html`
        <section id="bearer">
          <h2>Tokens</h2>
          <p>${bearer.description}</p>
        </section>
      `
      : ""}
    <section id="schemas"><h2>Schemas</h2>${Object.entries(components.schemas).map(schemaSection)}</section>
    <section id="problems"><h2>Problems</h2>
    <div class="wide"><table><thead><tr><th scope="col">Code</th><th scope="col">Status</th><th scope="col">Meaning</th></tr></thead>
    <tbody>${Object.entries(document["x-problems"]).map(([code, { status, title }]) =>
      html`
        <tr id="problem-${code}">
          <td><code>${code}</code></td>
          <td>${status}</td>
          <td>${title}</td>
        </tr>
      `
    )}</tbody></table></div></section>
        </main>
      </body>
    </html>
  `;
  return String(page);
}

function operationSection(
  { path, method, operation }: { readonly path: string; readonly method: string; readonly operation: OpenApiOperation },
): Html {
  const { operationId, summary, description, security, parameters, requestBody, responses } = operation;
  const answers = Object.entries(responses).filter(([, { content }]) => !content || hasOwnForm(content));
  const problems = operation["x-problems"];
  return html`
    <section id="${operationId}">
        <h2>${summary}</h2>
        <p class="call"><b class="${method}">${method.toUpperCase()}</b> <code>${path}</code>${security
          ? securityText(security)
          : ""}</p>
        <p>${description}</p>
        ${parameters
          ? html`<h3>Parameters</h3>${
            fieldTable(parameters.map((field) => ({ ...field, isRequired: field.required })))
          }`
          : ""}
        <dl>
        ${requestBody
          ? html`
            <dt>Takes</dt>
            <dd>${contentType(requestBody.content)}</dd>
          `
          : ""}
        ${answers.map(([status, { description, content }]) =>
          html`
            <dt>${status}</dt>
            <dd>${content ? contentType(content) : "nothing"}: ${description}</dd>
          `
        )}
    ${problems.length === 0 ? "" : html`
      <dt>Problems</dt>
      <dd class="codes">${problems.map(problemLink)}</dd>
    `}
    </dl>
        </section>
  `;
}

/** Whether it is more than a problem. */
function hasOwnForm(content: OpenApiContent): boolean {
  return Object.keys(content).some((type) => type !== "application/problem+json");
}

/** How whoever asks shows who they are. */
function securityText(security: NonNullable<OpenApiOperation["security"]>): Html[] {
  return security.flatMap(Object.entries).map(([scheme, roles]) =>
    html`
      <a class="signed" href="#${scheme}">${scheme === "signature" ? "signed" : roles.join(", ")}</a>
    `
  );
}

function problemLink(code: string): Html {
  return html`
    <a href="#problem-${code}"><code>${code}</code></a>
  `;
}

function contentType(content: OpenApiContent): Html[] {
  return Object.values(content).map(({ schema }) => typeText(schema));
}

function schemaSection([name, schema]: [string, JsonSchema]): Html {
  const { description, properties, required = [] } = schema;
  return html`
    <article id="schema-${name}"><h3>${name}</h3>
    ${description ? html`<p>${description}</p>` : ""}
    ${properties
      ? fieldTable(
        Object.entries(properties).map(([name, schema]) => ({ name, schema, isRequired: required.includes(name) })),
      )
      : html`<p>${typeText(schema)}</p>`}</article>
  `;
}

interface Field {
  readonly name: string;
  readonly schema: JsonSchema;
  readonly isRequired: boolean;
}

function fieldTable(fields: readonly Field[]): Html {
  return html`
    <div class="wide">
      <table>
        <thead>
          <tr>
            <th scope="col">Field</th>
            <th scope="col">Type</th>
          </tr>
        </thead>
        <tbody>${fields.map(({ name, schema, isRequired }) =>
          html`
            <tr>
              <td><code>${name}</code>${isRequired ? "" : html`
                <i>optional</i>
              `}</td>
              <td>${typeText(schema)}${schema.description
                ? html`
                  ${schema.description}
                `
                : ""}</td>
            </tr>
          `
        )}</tbody>
      </table>
    </div>
  `;
}

/** A schema in a few words; a component is a link to it. */
function typeText(schema: JsonSchema): Html {
  if (schema.$ref !== undefined) {
    const name = schema.$ref.slice(schema.$ref.lastIndexOf("/") + 1);
    return html`<a href="#schema-${name}">${name}</a>`;
  }
  if (schema.items) return html`list${boundsText(schema, "minItems", "maxItems")} of ${typeText(schema.items)}`;
  if (Array.isArray(schema.enum)) return html`${schema.enum.map(String).join(", ")}`;
  if (schema.const !== undefined) return html`"${String(schema.const)}"`;
  const pattern = typeof schema.pattern === "string"
    ? html`
      <code>${schema.pattern}</code>
    `
    : "";
  const bounds = schema.type === "string"
    ? boundsText(schema, "minLength", "maxLength")
    : boundsText(schema, "minimum", "maximum");
  return html`${schema.type ?? "object"}${bounds}${pattern}`;
}

function boundsText(schema: JsonSchema, least: string, most: string): string {
  const from = schema[least];
  const to = schema[most] === Number.MAX_SAFE_INTEGER ? undefined : schema[most];
  if (from === undefined) return to === undefined ? "" : ` up to ${to}`;
  return to === undefined ? ` from ${from}` : ` from ${from} to ${to}`;
}
