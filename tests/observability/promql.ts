/**
 * What a PromQL expression asks for: the metrics by name, with the labels it picks and groups them by. It is no parser:
 * strings and spans of time are dropped, and what is left of an identifier that is neither a function nor a word of the
 * language is a metric. promtool says whether the expression is one.
 */

export interface Asked {
  readonly metrics: readonly string[];
  /** Of selectors (`{…}`) and groupings (`by (…)`). */
  readonly labels: readonly string[];
}

const WORDS = new Set(["and", "or", "unless", "by", "without", "on", "ignoring", "offset", "bool", "group_left"]);
const STRING = /"(?:[^"\\]|\\.)*"/g;
const SPAN = /\[[^\]]*\]|\boffset\s+\d+\w/g;
const SELECTOR = /\{([^}]*)\}/g;
const GROUPING = /\b(?:by|without|on|ignoring)\s*\(([^)]*)\)/g;
const NAME = /[a-zA-Z_:][\w:]*/g;
const METRIC = /(?<![\w.])[a-zA-Z_:][\w:]*(?![\w:]|\s*\()/g;

export function askedBy(expression: string): Asked {
  const bare = expression.replaceAll(STRING, '""').replaceAll(SPAN, "");
  const labels = [SELECTOR, GROUPING].flatMap((place) =>
    [...bare.matchAll(place)].flatMap(([, inside]) => inside!.match(NAME) ?? [])
  );
  const rest = bare.replaceAll(SELECTOR, "").replaceAll(GROUPING, "");
  const metrics = [...rest.matchAll(METRIC)].map(([name]) => name).filter((name) => !WORDS.has(name));
  return { metrics: [...new Set(metrics)], labels: [...new Set(labels)] };
}
