/**
 * Whether what runs is one executable file, and how it was made; undefined for a checkout.
 *
 *   compiled   the file itself runs
 *   bundled    its launcher says where it is: what runs is unpacked elsewhere
 */

export interface OwnExecutable {
  readonly path: string;
  /** Of `deno task`. */
  readonly madeBy: "compile" | "bundle";
}

export function ownExecutable(): OwnExecutable | undefined {
  if (Deno.build.standalone) return { path: Deno.execPath(), madeBy: "compile" };
  const path = Deno.env.get("CULVERT_EXECUTABLE");
  // A checkout may have been started by an executable, but is none.
  return path === undefined || import.meta.url.endsWith(".ts") ? undefined : { path, madeBy: "bundle" };
}
