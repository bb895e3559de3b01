/**
 * Who may use the proxy: a function of yours, or names and their passwords. With names, the comparison takes as long
 * for a wrong password as for a right one, and for an unknown name as for a known one.
 */

export type CheckCredentials = (user: string, password: string) => boolean | Promise<boolean>;

export type ProxyAuth = CheckCredentials | Readonly<Record<string, string>>;

export function checkerOf(auth: ProxyAuth): CheckCredentials {
  if (typeof auth === "function") return auth;
  const encoder = new TextEncoder();
  const passwords = new Map(Object.entries(auth).map(([user, password]) => [user, encoder.encode(password)]));
  const nobody = new Uint8Array();
  return (user, password) => {
    const expected = passwords.get(user);
    const same = equalInConstantTime(encoder.encode(password), expected ?? nobody);
    return same && expected !== undefined;
  };
}

/** Looks at every byte of `given`, whatever it finds. */
function equalInConstantTime(given: Uint8Array, expected: Uint8Array): boolean {
  let difference = given.length ^ expected.length;
  for (let at = 0; at < given.length; at++) difference |= given[at]! ^ (expected[at] ?? 0);
  return difference === 0;
}
