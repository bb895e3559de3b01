/**
 * The style sheet of `openapi_page.ts`: the system's own fonts, light or dark as the reader's system is.
 */

export const openApiStyle = `
:root { --text: #1c2128; --soft: #59636e; --line: #d1d9e0; --back: #fff; --code: #f3f5f7; --link: #0b5cad;
  --get: #1a7f37; --post: #0b5cad; }
@media (prefers-color-scheme: dark) { :root { --text: #dde3ea; --soft: #9aa5b1; --line: #39414a; --back: #14181d;
  --code: #1f252c; --link: #79b8ff; --get: #57c777; --post: #79b8ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 58rem; padding: 2rem 1.25rem 4rem; background: var(--back); color: var(--text);
  font: 1rem/1.55 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.75rem; }
h1 small { color: var(--soft); font-size: 1rem; font-weight: normal; }
h2 { margin: 3rem 0 0.25rem; padding-top: 1rem; border-top: 1px solid var(--line); font-size: 1.25rem; }
h3 { margin: 1.5rem 0 0.25rem; font-size: 1rem; }
p { margin: 0.4rem 0; }
a { color: var(--link); text-underline-offset: 0.15em; }
code { padding: 0.1em 0.3em; border-radius: 4px; background: var(--code); font: 0.875em ui-monospace, monospace;
  overflow-wrap: anywhere; }
nav ul { margin: 1rem 0 0; padding: 0; list-style: none; }
nav li { padding: 0.2rem 0; }
.call b { margin-right: 0.25rem; font-size: 0.875rem; letter-spacing: 0.04em; }
.call .get { color: var(--get); }
.call .post { color: var(--post); }
.signed { margin-left: 0.5rem; font-size: 0.875rem; }
dl { display: grid; grid-template-columns: 5.5rem 1fr; gap: 0.25rem 1rem; margin: 0.75rem 0 0; }
dt { color: var(--soft); font-variant-numeric: tabular-nums; }
dd { margin: 0; }
.codes code { background: none; }
.wide { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; }
th, td { padding: 0.35rem 0.75rem 0.35rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
th { color: var(--soft); font-size: 0.875rem; font-weight: normal; }
td:first-child { white-space: nowrap; }
i { color: var(--soft); font-size: 0.875rem; font-style: normal; }
:target { scroll-margin-top: 1rem; }
tr:target { background: var(--code); }
@media (max-width: 40rem) { td:first-child { white-space: normal; } dl { grid-template-columns: 1fr; } }
`;
