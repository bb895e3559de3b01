import { assert, assertEquals, assertThrows } from "@std/assert";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { eventually } from "../../testing/waiting.ts";
import { SharedRoot, type SharedRootOptions } from "./shared_root.ts";

/** How far the juggler is, see `fixtures/link_juggler.ts`. */
const [NOW, NO_MORE] = [1, 2];

/** A shared folder with links of all kinds, and a secret beside it. */
function tree(temp: TempDirectory): string {
  const shared = temp.path("shared");
  for (const folder of ["docs/deep", ".git", "ours"]) Deno.mkdirSync(`${shared}/${folder}`, { recursive: true });
  for (const folder of ["shared-not", "secret"]) Deno.mkdirSync(temp.path(folder));
  const files = ["shared/a.txt", "shared/docs/deep/b.txt", "shared/.git/config", "shared/.env", "shared/ours/c.txt"];
  for (const path of [...files, "secret/key", "shared-not/x"]) {
    Deno.writeTextFileSync(temp.path(path), `this is ${path}`);
  }
  const links: readonly (readonly [string, string])[] = [
    ["inside", "docs/deep"],
    ["file", "a.txt"],
    ["chain", "inside"],
    ["back", "docs/../a.txt"],
    ["absolute", `${shared}/docs`],
    ["up", ".."],
    ["out", "../secret"],
    ["key", "../secret/key"],
    ["beside", "../shared-not"],
    ["chain-out", "docs/out"],
    ["docs/out", "../../secret"],
    ["round", "round"],
    ["nowhere", "none"],
    ["hidden", ".git"],
    ["ours/out", "../docs"],
    ["etc", "/etc"],
  ];
  for (const [name, target] of links) Deno.symlinkSync(target, `${shared}/${name}`);
  return shared;
}

function read(root: SharedRoot, path: string, scope = ""): string | undefined {
  const opened = root.open(path, scope);
  if (!opened) return undefined;
  using file = opened.file;
  if (file.state.kind === "folder") return "a folder";
  const bytes = new Uint8Array(file.state.size);
  file.readSync(bytes, 0);
  return new TextDecoder().decode(bytes);
}

const rows: readonly { readonly path: string; readonly scope?: string; readonly is: string | undefined }[] = [
  { path: "", is: "a folder" },
  { path: "a.txt", is: "this is shared/a.txt" },
  { path: "docs/deep/b.txt", is: "this is shared/docs/deep/b.txt" },
  { path: "inside/b.txt", is: "this is shared/docs/deep/b.txt" },
  { path: "chain/b.txt", is: "this is shared/docs/deep/b.txt" },
  { path: "file", is: "this is shared/a.txt" },
  { path: "back", is: "this is shared/a.txt" },
  { path: "absolute/deep/b.txt", is: "this is shared/docs/deep/b.txt" },
  { path: "up", is: undefined },
  { path: "up/secret/key", is: undefined },
  { path: "up/shared/a.txt", is: "this is shared/a.txt" },
  { path: "out", is: undefined },
  { path: "out/key", is: undefined },
  { path: "key", is: undefined },
  { path: "beside/x", is: undefined },
  { path: "chain-out/key", is: undefined },
  { path: "round", is: undefined },
  { path: "nowhere", is: undefined },
  { path: "etc/passwd", is: undefined },
  { path: ".env", is: undefined },
  { path: ".git/config", is: undefined },
  { path: "hidden/config", is: undefined },
  { path: "a.txt/b", is: undefined },
  { path: "none", is: undefined },
  { path: "ours/c.txt", scope: "ours", is: "this is shared/ours/c.txt" },
  { path: "ours/c.txt", scope: "ours/c.txt", is: "this is shared/ours/c.txt" },
  { path: "ours/out/deep/b.txt", is: "this is shared/docs/deep/b.txt" },
  { path: "ours/out/deep/b.txt", scope: "ours", is: undefined },
  { path: "a.txt", scope: "ours", is: undefined },
  { path: "inside/b.txt", scope: "inside", is: "this is shared/docs/deep/b.txt" },
  { path: "out/key", scope: "out", is: undefined },
];

const ways: readonly { readonly name: string; readonly options: SharedRootOptions }[] = [
  { name: "by the kernel", options: {} },
  { name: "by looking twice", options: { descriptors: undefined } },
];

for (const { name, options } of ways) {
  Deno.test(`shared folder: links lead around in it and not out, ${name}`, () => {
    using temp = new TempDirectory();
    const root = new SharedRoot(tree(temp), options);
    for (const { path, scope = "", is } of rows) assertEquals(read(root, path, scope), is, `${path} in "${scope}"`);
  });
}

Deno.test("shared folder: what is hidden is shown to who asks for it, ours never", () => {
  using temp = new TempDirectory();
  const shared = tree(temp);
  Deno.mkdirSync(`${shared}/.culvert-uploads`);
  Deno.writeTextFileSync(`${shared}/.culvert-uploads/draft`, "x");
  const root = new SharedRoot(shared, { showsHidden: true });
  assertEquals(read(root, ".env"), "this is shared/.env");
  assertEquals(read(root, "hidden/config"), "this is shared/.git/config");
  assertEquals(read(root, ".culvert-uploads/draft"), undefined);
});

Deno.test("shared folder: a pipe is not opened, and keeps nobody waiting", async () => {
  using temp = new TempDirectory();
  const shared = tree(temp);
  const { success } = await new Deno.Command("mkfifo", { args: [`${shared}/pipe`] }).output();
  assert(success);
  const root = new SharedRoot(shared);
  assertEquals(read(root, "pipe"), undefined);
});

Deno.test("shared folder: it may itself be a link, and must be a folder", () => {
  using temp = new TempDirectory();
  const shared = tree(temp);
  Deno.symlinkSync(shared, temp.path("link"));
  assertEquals(read(new SharedRoot(temp.path("link")), "a.txt"), "this is shared/a.txt");
  assertThrows(() => new SharedRoot(`${shared}/a.txt`), TypeError, "must be a folder");
  assertThrows(() => new SharedRoot(`${shared}/none`));
});

Deno.test("shared folder: a link that is put in between while a file is opened leads nowhere", async (test) => {
  for (const { name, options } of ways) {
    await test.step(name, async () => {
      using temp = new TempDirectory();
      const shared = tree(temp);
      Deno.mkdirSync(`${shared}/mine`);
      Deno.writeTextFileSync(`${shared}/mine/key`, "this is mine");
      Deno.symlinkSync("mine", `${shared}/juggled`);
      await using _juggler = await startJuggler(`${shared}/juggled`, ["mine", "../secret"]);
      const root = new SharedRoot(shared, options);
      const seen = new Map<string | undefined, number>();
      for (let turn = 0; turn < 2000 || seen.size < 2; turn++) {
        const content = read(root, "juggled/key");
        seen.set(content, (seen.get(content) ?? 0) + 1);
      }
      assertEquals([...seen.keys()].sort(), ["this is mine", undefined], "both states were met, and nothing else");
    });
  }
});

async function startJuggler(name: string, targets: readonly [string, string]): Promise<AsyncDisposable> {
  const worker = new Worker(new URL("./fixtures/link_juggler.ts", import.meta.url), { type: "module" });
  const state = new Int32Array(new SharedArrayBuffer(8));
  worker.postMessage({ name, targets, state });
  await eventually("the links are juggled", () => Atomics.load(state, 0) === NOW);
  return {
    async [Symbol.asyncDispose]() {
      Atomics.store(state, 1, 1);
      await eventually("the links are left alone", () => Atomics.load(state, 0) === NO_MORE);
      worker.terminate();
    },
  };
}
