/** Every problem a peer server can answer with (RFC 9457): `code` is stable and for programs. */

export const peerProblems = {
  bad_request: { status: 400, title: "The request does not fit its schema" },
  bad_path: { status: 400, title: "This is no path in a shared folder" },
  cross_site: { status: 403, title: "The request comes from another site" },
  owner_only: { status: 403, title: "Only who runs this server may ask for this" },
  no_upload: { status: 403, title: "Files may not be put here" },
  not_found: { status: 404, title: "There is nothing here" },
  wrong_method: { status: 405, title: "This address takes other methods" },
  cut_short: { status: 408, title: "The body did not come to its end" },
  exists: { status: 409, title: "There is a file of this name already" },
  in_the_way: { status: 409, title: "What is there is no folder, or none that may be written to" },
  changed: { status: 412, title: "The content is not the one that was meant" },
  too_large: { status: 413, title: "The body is too large" },
  wrong_type: { status: 415, title: "The body is of another type" },
  unsatisfiable: { status: 416, title: "The content has none of these bytes" },
  misdirected: { status: 421, title: "The request is meant for another host" },
  too_often: { status: 429, title: "Too many requests" },
  internal: { status: 500, title: "The answer could not be made" },
  unreachable: { status: 502, title: "The peer cannot be reached" },
  busy: { status: 503, title: "There is too much to do at present" },
  changing: { status: 503, title: "The file is being written to" },
  storage_full: { status: 507, title: "There is no room for it" },
} as const satisfies Readonly<Record<string, { readonly status: number; readonly title: string }>>;

export type PeerProblemCode = keyof typeof peerProblems;
