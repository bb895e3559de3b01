/**
 * What a file is, by the end of its name, and how far a browser may be trusted with it. Nobody looks into files: a wrong name
 * gets a wrong type, and `nosniff` keeps a browser from guessing better.
 *
 * The names are those of the IANA registry and, for what is not in it, those that browsers use.
 */

const TYPES: Readonly<Record<string, string>> = {
  "application/epub+zip": "epub",
  "application/gzip": "gz tgz",
  "application/json": "json map",
  "application/ld+json": "jsonld",
  "application/manifest+json": "webmanifest",
  "application/msword": "doc",
  "application/octet-stream": "bin",
  "application/pdf": "pdf",
  "application/rtf": "rtf",
  "application/vnd.android.package-archive": "apk",
  "application/vnd.ms-excel": "xls",
  "application/vnd.ms-powerpoint": "ppt",
  "application/vnd.oasis.opendocument.presentation": "odp",
  "application/vnd.oasis.opendocument.spreadsheet": "ods",
  "application/vnd.oasis.opendocument.text": "odt",
  "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
  "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
  "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
  "application/vnd.rar": "rar",
  "application/wasm": "wasm",
  "application/x-7z-compressed": "7z",
  "application/x-bzip2": "bz2",
  "application/x-iso9660-image": "iso",
  "application/x-tar": "tar",
  "application/x-xz": "xz",
  "application/xhtml+xml": "xhtml xht",
  "application/xml": "xml xsl",
  "application/zip": "zip",
  "application/zstd": "zst",
  "audio/aac": "aac",
  "audio/flac": "flac",
  "audio/midi": "mid midi",
  "audio/mp4": "m4a m4b",
  "audio/mpeg": "mp3",
  "audio/ogg": "oga ogg opus",
  "audio/wav": "wav",
  "audio/webm": "weba",
  "font/otf": "otf",
  "font/ttf": "ttf",
  "font/woff": "woff",
  "font/woff2": "woff2",
  "image/apng": "apng",
  "image/avif": "avif",
  "image/bmp": "bmp",
  "image/gif": "gif",
  "image/heic": "heic",
  "image/jpeg": "jpg jpeg jpe",
  "image/jxl": "jxl",
  "image/png": "png",
  "image/svg+xml": "svg svgz",
  "image/tiff": "tif tiff",
  "image/vnd.microsoft.icon": "ico",
  "image/webp": "webp",
  "text/calendar": "ics",
  "text/css": "css",
  "text/csv": "csv",
  "text/html": "html htm",
  "text/javascript": "js mjs cjs",
  "text/markdown": "md markdown",
  "text/plain":
    "txt text log conf cfg ini toml yaml yml sh bash py rb go rs c h cc cpp hpp java kt swift ts tsx jsx sql nfo srt diff patch asc tex",
  "text/tab-separated-values": "tsv",
  "text/vcard": "vcf",
  "text/vtt": "vtt",
  "video/mp2t": "m2ts",
  "video/mp4": "mp4 m4v",
  "video/mpeg": "mpg mpeg",
  "video/ogg": "ogv",
  "video/quicktime": "mov",
  "video/webm": "webm",
  "video/x-matroska": "mkv",
  "video/x-msvideo": "avi",
};

const BY_EXTENSION: ReadonlyMap<string, string> = new Map(
  Object.entries(TYPES).flatMap(([type, extensions]) =>
    extensions.split(" ").map((extension): [string, string] => [extension, type])
  ),
);

/** Of a name or a path, without parameters. */
export function mediaTypeOf(name: string): string {
  const dot = name.lastIndexOf(".");
  // A dot at the start hides a file and begins no extension.
  if (dot <= name.lastIndexOf("/") + 1) return "application/octet-stream";
  return BY_EXTENSION.get(name.slice(dot + 1).toLowerCase()) ?? "application/octet-stream";
}

/** As `Content-Type` has it. Text is taken for UTF-8, as nearly all of it is. */
export function contentTypeOf(name: string): string {
  const type = mediaTypeOf(name);
  return type.startsWith("text/") || type === "application/json" ? `${type}; charset=utf-8` : type;
}

export function isMarkdown(name: string): boolean {
  return mediaTypeOf(name) === "text/markdown";
}

/**
 * The policy under which a browser shows a file that somebody put here: no scripts, and nothing to load but what lies beside
 * it. What could hold scripts has no origin either, and so no pictures: that it is let out of the sandbox would be one mistake
 * of a browser away from reading the whole folder. What a browser plays or draws by parts of its own needs its origin, to ask
 * for the rest of the same file.
 */
export function contentPolicyOf(type: string): string {
  const rules = [
    "default-src 'none'",
    "img-src 'self' data:",
    "media-src 'self'",
    "style-src 'self' 'unsafe-inline'",
    "font-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'self'",
  ];
  if (type === "application/pdf") return [...rules, "object-src 'self'"].join("; ");
  const isPlayed = /^(?:image|video|audio)\//.test(type) && type !== "image/svg+xml";
  return (isPlayed ? rules : [...rules, "sandbox"]).join("; ");
}
