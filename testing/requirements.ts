/**
 * What a test needs from the machine. Where something is missing the test is listed as ignored and its name says why;
 * with `CI=true` it fails instead, so that nobody takes a skipped test for a passed one.
 *
 *   testWith({ tools: ["curl"], root: true }, "curl reaches the page", async () => { … });
 */

export interface Needs {
  /** Programs that must be on the PATH, in the sbin folders or in PostgreSQL's. */
  readonly tools?: readonly string[];
  readonly root?: boolean;
  /** Network namespaces can be made; implies root. */
  readonly netns?: boolean;
  /** Files or devices that must exist, such as `/dev/net/tun`. */
  readonly files?: readonly string[];
}

/** The machine, as far as `requires` asks about it. */
export interface Machine {
  readonly isCi: boolean;
  readonly isRoot: boolean;
  findTool(name: string): string | undefined;
  hasFile(path: string): boolean;
  canMakeNamespaces(): boolean;
}

export interface Requirement {
  /** Leave the test out: something is missing, and this is not CI. */
  readonly ignore: boolean;
  /** What is missing, for people; undefined when nothing is. */
  readonly reason?: string;
}

/** Whether this machine has what a test needs. */
export function requires(needs: Needs, machine: Machine = thisMachine()): Requirement {
  const missing: string[] = [];
  if ((needs.root || needs.netns) && !machine.isRoot) missing.push("root");
  for (const tool of needs.tools ?? []) if (!machine.findTool(tool)) missing.push(tool);
  for (const file of needs.files ?? []) if (!machine.hasFile(file)) missing.push(file);
  if (needs.netns && missing.length === 0 && !machine.canMakeNamespaces()) missing.push("network namespaces");
  if (missing.length === 0) return { ignore: false };
  return { ignore: !machine.isCi, reason: `needs ${missing.join(", ")}` };
}

/** `Deno.test` for a test with needs. */
export function testWith(
  needs: Needs,
  name: string,
  fn: (test: Deno.TestContext) => void | Promise<void>,
): void {
  Deno.test(withNeeds(requires(needs), name, fn));
}

/** The test as it should be registered: itself, ignored with its reason, or failing with it. */
export function withNeeds(
  { ignore, reason }: Requirement,
  name: string,
  fn: (test: Deno.TestContext) => void | Promise<void>,
): Deno.TestDefinition {
  if (reason === undefined) return { name, fn };
  if (ignore) return { name: `${name} (ignored: ${reason})`, ignore, fn };
  return {
    name,
    fn() {
      throw new Error(`Cannot run with CI=true: the test ${reason}; tests/setup.sh installs what is missing`);
    },
  };
}

/** Folders that hold programs of the system but are often not on a user's PATH. */
const SYSTEM_FOLDERS = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/** Debian has each version of PostgreSQL in a folder of its own. */
const POSTGRES_FOLDER = "/usr/lib/postgresql";

/** Where a program lies, if it is installed. */
export function findTool(name: string): string | undefined {
  const folders = [...(Deno.env.get("PATH") ?? "").split(":"), ...SYSTEM_FOLDERS, ...postgresFolders()];
  return folders.filter((folder) => folder !== "").map((folder) => `${folder}/${name}`).find(isFile);
}

export function thisMachine(): Machine {
  return {
    isCi: Deno.env.get("CI") === "true",
    isRoot: Deno.uid() === 0,
    findTool,
    hasFile: exists,
    canMakeNamespaces,
  };
}

/** The newest first. */
function postgresFolders(): string[] {
  if (!exists(POSTGRES_FOLDER)) return [];
  const versions = [...Deno.readDirSync(POSTGRES_FOLDER)].map((entry) => entry.name);
  return versions.sort((a, b) => Number(b) - Number(a)).map((version) => `${POSTGRES_FOLDER}/${version}/bin`);
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Root in a container may still lack CAP_SYS_ADMIN, so only making one tells. */
function canMakeNamespaces(): boolean {
  const name = `culvert-test-${Deno.pid}-probe`;
  const ip = findTool("ip");
  if (!ip) return false;
  const run = (...args: string[]) =>
    new Deno.Command(ip, { args, stderr: "null", stdout: "null" }).outputSync().success;
  return run("netns", "add", name) && run("netns", "delete", name);
}
