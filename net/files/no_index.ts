/**
 * A ContentIndex that knows nothing: for folders that are served without one.
 */

import type { ContentIndex } from "./content_index.ts";

export const noIndex: ContentIndex = {
  rootOf: () => undefined,
  pieces: () => undefined,
  locate: () => [],
  search: () => ({ found: [], pending: 0 }),
  status: { files: 0, bytes: 0, pending: 0 },
  subscribe: () => ({ [Symbol.dispose]() {} }),
};
