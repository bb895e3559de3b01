/**
 * A dashboard that is made when it is first asked for: most programs are never watched, and none starts later for it. Made, it does
 * nothing until somebody has logged in: what its charts and its event log show begins then.
 */

import type { DashboardApp, DashboardDeps, DashboardOrigin } from "../../edge/dashboard/deps.ts";

export class ServedDashboard implements AsyncDisposable {
  readonly #deps: DashboardDeps;
  #app: Promise<DashboardApp> | undefined;
  #isOver = false;

  constructor(deps: DashboardDeps) {
    this.#deps = deps;
  }

  /** Makes it now, for whoever is likely to look soon. Never rejects: who looks is told what is wrong. */
  async load(): Promise<void> {
    await this.#made().catch(() => {});
  }

  async fetch(request: Request, origin?: DashboardOrigin): Promise<Response> {
    if (this.#isOver) return new Response("Stopping\n", { status: 503 });
    return await (await this.#made()).fetch(request, origin);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await this.#app?.then((app) => app[Symbol.dispose](), () => {});
  }

  #made(): Promise<DashboardApp> {
    return this.#app ??= import("../../edge/dashboard/dashboard.ts").then(({ createDashboard }) =>
      createDashboard(this.#deps)
    );
  }
}
