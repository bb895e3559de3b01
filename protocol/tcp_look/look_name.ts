/** How packets that look like TCP look; `look.ts` makes them. */

export const lookNames = ["ours", "paqet", "gfk-py", "gfk-go"] as const;

export type LookName = typeof lookNames[number];
