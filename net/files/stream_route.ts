/**
 * `POST /api/streams`: a port of its own for one file (`ephemeral_streams.ts`). For the owner: a guest is not on this machine.
 */

import { type StreamWanted, streamWantedSchema } from "../../protocol/files/owner_api.ts";
import { encodePath, isPath } from "../../protocol/files/safe_path.ts";
import { serveDownload } from "./content_routes.ts";
import type { FileServerParts } from "./file_server.ts";
import { notFound, problem } from "./problem.ts";
import { type Asked, splitUrl } from "./routes.ts";

const MAX_BODY_BYTES = 32 * 1024;

export async function openStream({ request }: Asked, parts: FileServerParts): Promise<Response> {
  const wanted = await readWanted(request);
  if (wanted instanceof Response) return wanted;
  const { path } = wanted;
  const opened = parts.root.open(path, "");
  if (!opened) return notFound();
  using file = opened.file;
  if (file.state.kind !== "file") return notFound();
  const rest = `/${encodePath(path)}`;
  const ready = parts.streams.offer({
    path,
    answer(request) {
      const query = new URLSearchParams(splitUrl(request.url).query);
      return serveDownload({ request, guest: undefined, scope: "", rest, query }, parts);
    },
  });
  if (!ready) return problem("busy", "Cannot open a port: too many are open already", { retryAfterMs: 5000 });
  return Response.json(ready, { status: 201, headers: { "cache-control": "no-store" } });
}

async function readWanted(request: Request): Promise<StreamWanted | Response> {
  // A form of another site can be sent without asking, but not as this type.
  if (!/^application\/json\b/i.test(request.headers.get("content-type") ?? "")) {
    return problem("wrong_type", "Cannot read the request: its body must be application/json");
  }
  const text = await readUpTo(request, MAX_BODY_BYTES);
  if (text === undefined) {
    return problem("too_large", `Cannot read the request: its body must be at most ${MAX_BODY_BYTES} bytes long`);
  }
  const { success, data } = streamWantedSchema.safeParse(parsedJson(text));
  return success && isPath(data.path)
    ? data
    : problem("bad_request", 'Cannot open a port: the body must be {"path": "folder/file"}');
}

async function readUpTo(request: Request, maxBytes: number): Promise<string | undefined> {
  const decoder = new TextDecoder();
  let text = "";
  let length = 0;
  for await (const chunk of request.body ?? []) {
    length += chunk.length;
    if (length > maxBytes) return undefined;
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
