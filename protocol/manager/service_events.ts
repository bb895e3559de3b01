/**
 * What happens to a service, what its machine (`service_machine.ts`) has done about it, and what it tells.
 */

export type ServiceEvent =
  /** An operator asks. */
  | { readonly is: "start" | "stop" | "restart" }
  /** Its process was found running when the manager started. */
  | { readonly is: "adopted" }
  /** It was stopped or given up under the last manager, and stays so. */
  | { readonly is: "resting"; readonly gaveUp: boolean; readonly reason?: string }
  /** `spawn` has given a process. */
  | { readonly is: "spawned" }
  /** `spawn` has given none, and nothing is left of it. */
  | { readonly is: "unspawned"; readonly reason: string }
  /** All that was to be verified of its start holds. */
  | { readonly is: "verified" }
  /** It does not hold yet; the reason is told should that last. */
  | { readonly is: "unverified"; readonly reason: string }
  /** Its process has ended, at that time. */
  | { readonly is: "exited"; readonly how: string; readonly atMs: number }
  /** Nothing is left of what its process had started. */
  | { readonly is: "swept" }
  /** It runs and does not work, or harms others by what it uses. */
  | { readonly is: "failing"; readonly reason: string; readonly isHarmful: boolean }
  /** It works again. */
  | { readonly is: "recovered" };

export type ServiceAction =
  /** Start its process, and say `spawned` or `unspawned`. */
  | { readonly do: "spawn" }
  /** Give up the spawn that is under way, and say all the same which of the two came of it. */
  | { readonly do: "abandon" }
  /** Look whether it has started, again and again, until it has or is no longer starting. */
  | { readonly do: "verify" }
  | { readonly do: "terminate" }
  | { readonly do: "kill" }
  /** End what its process has left behind, and say `swept`. */
  | { readonly do: "sweep" }
  | { readonly do: "tell"; readonly news: ServiceNews };

export interface ServiceNews {
  /** `alert` is for somebody who is not looking. */
  readonly level: "info" | "warn" | "alert";
  readonly event:
    | "starting"
    | "started"
    | "adopted"
    | "stopping"
    | "stopped"
    | "crashed"
    | "restarting"
    | "gave_up"
    | "unhealthy"
    | "will_not_end";
  readonly message: string;
}
