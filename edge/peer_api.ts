/**
 * What a peer's file server offers over HTTP, as data: `net/files/` and `roles/files/owner_routes.ts` answer. `openapi.json`
 * and the page at `/api` are made from it. Paths end in `{path}` where a path of several parts follows; it may be left out
 * where it says so. `HEAD` is answered like `GET`.
 */

import { z } from "zod";
import * as fields from "../protocol/fields.ts";
import * as listing from "../protocol/files/listing.ts";
import * as owner from "../protocol/files/owner_api.ts";
import { type PeerProblemCode, peerProblems } from "../protocol/files/problems.ts";
import { peerLabelSchema } from "../protocol/peers/card.ts";
import type { ApiDescription, NamedSchema, Operation } from "./openapi.ts";

type PeerOperation = Operation<PeerProblemCode>;

const ANY_PROBLEMS: readonly PeerProblemCode[] = [
  "bad_request",
  "cross_site",
  "misdirected",
  "too_often",
  "internal",
  "busy",
];
const FILE_PROBLEMS: readonly PeerProblemCode[] = ["bad_path", "not_found", "changing", ...ANY_PROBLEMS];
const OWNER_PROBLEMS: readonly PeerProblemCode[] = ["owner_only", ...ANY_PROBLEMS];
const BYTES = { status: 200, type: "application/octet-stream", schema: z.file() } as const;
const path = z.object({ path: z.string().max(listing.MAX_PATH_BYTES).describe("Each part percent-encoded once.") });
const root = z.object({ root: listing.rootSchema });
const peer = z.object({ peerId: fields.peerIdSchema });

const files: readonly PeerOperation[] = [
  {
    id: "readContent",
    method: "get",
    path: "/content/{path}",
    summary: "A file, to be shown",
    description:
      "Ranges and conditions as RFC 9110 has them. Markdown is a page for whoever takes HTML, unless the query " +
      "says raw; a folder shows its index.md.",
    params: path,
    query: z.object({ raw: z.string().optional() }),
    answer: { ...BYTES, description: "The file, in its own type; 206 with a part of it, 304 when it is the same." },
    problems: [...FILE_PROBLEMS, "changed", "unsatisfiable"],
  },
  {
    id: "download",
    method: "get",
    path: "/download/{path}",
    summary: "A file, to be kept under its name",
    description: "Ranges and conditions as RFC 9110 has them.",
    params: path,
    query: z.object({ inline: z.string().optional() }),
    answer: { ...BYTES, description: "The file, in its own type; 206 with a part of it, 304 when it is the same." },
    problems: [...FILE_PROBLEMS, "changed", "unsatisfiable"],
  },
  {
    id: "upload",
    method: "put",
    path: "/upload/{path}",
    summary: "Put a new file here",
    description: "Where uploads are allowed. What is there is replaced only if If-Match names it.",
    params: path,
    body: z.file(),
    bodyType: "application/octet-stream",
    answer: { status: 201, schema: listing.entrySchema, description: "It is there." },
    others: [{ status: 200, schema: listing.entrySchema, description: "It took the place of what was there." }],
    problems: [
      ...FILE_PROBLEMS,
      "no_upload",
      "cut_short",
      "exists",
      "in_the_way",
      "changed",
      "too_large",
      "storage_full",
    ],
  },
];

const lists: readonly PeerOperation[] = [
  {
    id: "listFolder",
    method: "get",
    path: "/api/files/{path}",
    summary: "A page of a folder",
    description: "Without a path, of the shared folder itself.",
    params: path,
    query: listing.folderQuerySchema,
    answer: { status: 200, schema: listing.folderPageSchema, description: "Pass next as after." },
    problems: FILE_PROBLEMS,
  },
  {
    id: "search",
    method: "get",
    path: "/api/search",
    summary: "Files by their names",
    description: "Of those that whoever asks may see.",
    query: listing.searchQuerySchema,
    answer: { status: 200, schema: listing.searchPageSchema, description: "Pass next as after." },
    problems: ANY_PROBLEMS,
  },
  {
    id: "findContent",
    method: "get",
    path: "/api/by-root/{root}",
    summary: "Where a content is",
    description: "By its tree hash.",
    params: root,
    answer: { status: 200, schema: listing.placesSchema, description: "Its size and paths." },
    problems: ["not_found", ...ANY_PROBLEMS],
  },
  {
    id: "readPieces",
    method: "get",
    path: "/api/pieces/{root}",
    summary: "The hashes of a content's pieces",
    description: "32 bytes for each MiB.",
    params: root,
    answer: { ...BYTES, description: "The hashes, one after another." },
    problems: ["not_found", ...ANY_PROBLEMS],
  },
  {
    id: "readMarkdown",
    method: "get",
    path: "/api/markdown/{path}",
    summary: "A markdown file as a tree",
    description: "Of what may be shown, and where its links lead: protocol/files/markdown_tree.ts.",
    params: path,
    answer: { status: 200, schema: z.looseObject({}), description: "The tree." },
    problems: [...FILE_PROBLEMS, "too_large"],
  },
  {
    id: "self",
    method: "get",
    path: "/api/self",
    summary: "Who this is",
    description: "And what whoever asks may do and see, and how far the index is.",
    answer: { status: 200, schema: listing.selfSchema, description: "As of now." },
    problems: ANY_PROBLEMS,
  },
  {
    id: "events",
    method: "get",
    path: "/api/events",
    summary: "Hear what happens",
    description: "Server-sent events: changed, and to the owner file-stream-ready and transfer. Not by HEAD.",
    answer: { status: 200, type: "text/event-stream", schema: z.string(), description: "Until one side ends it." },
    problems: ANY_PROBLEMS,
  },
];

const ofOwner: readonly PeerOperation[] = [
  {
    id: "openStream",
    method: "post",
    path: "/api/streams",
    summary: "A port of its own for one file",
    description: "For another program of this machine. For the owner alone.",
    body: owner.streamWantedSchema,
    answer: {
      status: 201,
      schema: z.object({ port: z.int(), url: z.string(), path: z.string(), expiresAtMs: fields.timeSchema }),
      description: "Where it is; the URL is a secret.",
    },
    problems: ["not_found", "wrong_type", "too_large", ...OWNER_PROBLEMS],
  },
  {
    id: "listPeers",
    method: "get",
    path: "/api/peers",
    summary: "Other peers",
    description: "Those that trackers list, and those that were met before. For the owner alone.",
    answer: { status: 200, schema: owner.otherPeersSchema, description: "There may be none." },
    problems: OWNER_PROBLEMS,
  },
  {
    id: "openPeer",
    method: "post",
    path: "/api/peers/{peerId}/open",
    summary: "A port of this machine that leads to a peer",
    description: "Connects to it first. For the owner alone.",
    params: peer,
    answer: { status: 200, schema: owner.bridgeSchema, description: "Where it is, and how the peer was reached." },
    problems: ["not_found", "unreachable", ...OWNER_PROBLEMS],
  },
  {
    id: "askPeer",
    method: "get",
    path: "/peers/{peerId}/{path}",
    summary: "What another peer answers",
    description: "Any path of its own API, under our address. For the owner alone.",
    params: peer.extend(path.shape),
    answer: { ...BYTES, description: "Its answer, as it is." },
    problems: ["not_found", "unreachable", ...OWNER_PROBLEMS],
  },
  {
    id: "listTransfers",
    method: "get",
    path: "/api/transfers",
    summary: "What was sent of late",
    description: "The newest first. For the owner alone.",
    answer: { status: 200, schema: owner.transfersSchema, description: "There may be none." },
    problems: OWNER_PROBLEMS,
  },
];

export function peerApi(version: string): ApiDescription<PeerProblemCode> {
  return {
    title: "Culvert peer",
    version,
    description:
      "The files that a peer shares. Programs of this machine are its owner; other peers come in as guests, " +
      "each through a door of its own. docs/peer-server.md has what the forms leave open.",
    operations: [...files, ...lists, ...ofOwner],
    schemas: namedSchemas(),
    problems: peerProblems,
  };
}

function namedSchemas(): NamedSchema[] {
  return [
    { name: "Entry", schema: listing.entrySchema, description: "A file or a folder in its folder." },
    { name: "Found", schema: listing.foundSchema, description: "The same by its path." },
    { name: "FolderPage", schema: listing.folderPageSchema },
    { name: "SearchPage", schema: listing.searchPageSchema },
    { name: "Places", schema: listing.placesSchema },
    { name: "Self", schema: listing.selfSchema },
    { name: "OtherPeer", schema: owner.otherPeerSchema },
    { name: "Bridge", schema: owner.bridgeSchema },
    { name: "Sent", schema: owner.sentSchema },
    { name: "Root", schema: listing.rootSchema, description: "The tree hash of a content: BitTorrent v2, BEP 52." },
    { name: "Label", schema: peerLabelSchema, description: "For people; nothing vouches for it." },
    { name: "PeerId", schema: fields.peerIdSchema, description: "base32(SHA-256(identity public key)[0..16])." },
    { name: "Count", schema: fields.countSchema },
    { name: "Time", schema: fields.timeSchema, description: "Milliseconds since 1970." },
  ];
}
