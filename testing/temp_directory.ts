/**
 * A directory for one test, gone when it ends.
 */

import { join } from "@std/path";

export class TempDirectory implements Disposable {
  readonly #path = Deno.makeTempDirSync({ prefix: "culvert-test-" });

  path(name: string): string {
    return join(this.#path, name);
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.#path, { recursive: true });
  }
}
