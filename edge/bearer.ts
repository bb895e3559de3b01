/** The token in `Authorization: Bearer` (RFC 6750 §2.1). */

/** Undefined when there is none. */
export function bearerOf(request: Request): string | undefined {
  return bearerIn(request.headers.get("authorization") ?? "");
}

/** The same, of the header's value. */
export function bearerIn(authorization: string): string | undefined {
  return /^Bearer +([A-Za-z0-9._~+/=-]+) *$/i.exec(authorization)?.[1];
}
