/**
 * Maps that forget: when one is full, the eighth of its entries that was set longest ago goes at once. One at a time would
 * cost more with each, since V8's maps keep the places of removed entries, and walk over them to the first that is left,
 * until they are next rebuilt.
 */

export function makeRoom(map: Map<string, unknown>, maxEntries: number): void {
  if (map.size < maxEntries) return;
  let surplus = maxEntries >> 3;
  for (const key of map.keys()) {
    map.delete(key);
    if (--surplus <= 0) return;
  }
}
