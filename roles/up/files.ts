/**
 * What the peers of `culvert up --with files` share: a folder each, with a few files to look at, made when it starts.
 *
 *   peer-1   index.md, notes/, pictures/       peer-2   index.md, and the same picture, so that it has two sources
 */

import { join } from "@std/path";

/** The folder that a peer shares, by the directory of its state. */
export function sampleFolder(stateDir: string): string {
  return join(stateDir, "shared");
}

/** Puts them there; what somebody has changed since stays as it is. */
export async function putSampleFiles(stateDir: string, name: string): Promise<void> {
  const folder = sampleFolder(stateDir);
  for (const [path, content] of Object.entries(samplesOf(name))) {
    const file = join(folder, path);
    await Deno.mkdir(join(file, ".."), { recursive: true });
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    try {
      await Deno.writeFile(file, bytes, { createNew: true });
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    }
  }
}

function samplesOf(name: string): Readonly<Record<string, string | Uint8Array>> {
  const shared = { "pictures/culvert.svg": PICTURE, "data/noise.bin": noise(4 * 1024 * 1024) };
  if (name !== "peer-1") return { "index.md": secondPage(name), ...shared };
  return {
    "index.md": firstPage(name),
    "notes/water.md": "# Water\n\nFinds its way beneath what stands in it. [Back](../index.md)\n",
    "notes/list.txt": "One\nTwo\nThree\n",
    ...shared,
  };
}

function firstPage(name: string): string {
  return `# What ${name} shares

- [Notes about water](notes/water.md)
- [A list](notes/list.txt)
- ![A culvert](pictures/culvert.svg)

Whatever is put into this folder is here the next moment.
`;
}

function secondPage(name: string): string {
  return `# What ${name} shares

A [picture](pictures/culvert.svg) that another peer has too: whoever fetches it may have it from both.
`;
}

/** Nothing in particular, but always the same. */
function noise(bytes: number): Uint8Array {
  const words = new Uint32Array(bytes / 4);
  for (let at = 0, state = 1; at < words.length; at++) {
    // Xorshift (Marsaglia 2003).
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[at] = state;
  }
  return new Uint8Array(words.buffer);
}

const PICTURE = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 80" width="480" height="320">
  <rect width="120" height="80" fill="#dbeafe"/>
  <path d="M0 34h120v46H0z" fill="#a3b18a"/>
  <path d="M36 80V58a24 24 0 0 1 48 0v22z" fill="#1e3a5f"/>
  <path d="M42 80V60a18 18 0 0 1 36 0v20z" fill="#60a5fa"/>
</svg>
`;
