/**
 * What the readers of WireGuard's texts have in common: a text becomes a value or undefined, and a value that is one
 * goes into the object under construction.
 */

/** A decimal number up to `max`. Above 2^53 it is the nearest number there is. */
export function numberFrom(value: string, max: number): number | undefined {
  return /^\d{1,20}$/.test(value) && Number(value) <= max ? Number(value) : undefined;
}

/** Sets a property if the value could be read; says whether. */
export function assign<T, K extends keyof T>(into: T, name: K, value: T[K] | undefined): boolean {
  if (value === undefined) return false;
  into[name] = value;
  return true;
}

/** Something under construction: its properties can be set and its lists grow. */
export type Draft<T> = {
  -readonly [K in keyof T]: NonNullable<T[K]> extends readonly (infer Element)[] ? Element[] : T[K];
};
