/**
 * Codes that are used once: an invitation opens an account, a node code adds an operator's node. 80 random bits that can be
 * typed, in groups of four; case and hyphens do not matter.
 *
 *   abcd-efgh-ijkl-mnop          kept: the upper 128 bits of SHA-256, which is where the record lies
 */

import type { Table } from "../../../kv/sharing/table.ts";
import type { Clock } from "../../../protocol/clock.ts";
import { encodeBase32 } from "../../../protocol/encoding.ts";
import { CulvertError } from "../../../protocol/errors.ts";
import type { Primitives } from "../../../protocol/primitives.ts";
import type { Random } from "../../../protocol/random.ts";
import type { Enrolment, EnrolmentKind } from "../../../protocol/sharing/access_records.ts";
import type { UserRole } from "../../../protocol/sharing/records.ts";

const CODE_BYTES = 10;
const DAY_MS = 86_400_000;
const LIFETIME_MS: Readonly<Record<EnrolmentKind, number>> = { node: DAY_MS, account: 7 * DAY_MS };
const MAX_LISTED = 1000;
export const MAX_NODE_CODES = 32;

export interface CodeDeps {
  readonly enrolments: Table<Enrolment>;
  readonly clock: Clock;
  readonly primitives: Primitives;
  readonly random: Random;
}

export interface NewCode {
  readonly kind: EnrolmentKind;
  readonly label: string;
  readonly ownerId?: string | undefined;
  /** Of an invitation. */
  readonly roles?: readonly UserRole[] | undefined;
}

export class Codes {
  readonly #deps: CodeDeps;

  constructor(deps: CodeDeps) {
    this.#deps = deps;
  }

  async make(
    { kind, label, ownerId, roles }: NewCode,
  ): Promise<{ readonly code: string; readonly enrolment: Enrolment }> {
    const { enrolments, clock, random } = this.#deps;
    const letters = encodeBase32(random.fill(new Uint8Array(CODE_BYTES)));
    const nowMs = clock.wallNow();
    const enrolment: Enrolment = {
      codeId: this.#idOf(letters),
      kind,
      label,
      ...(ownerId !== undefined && { ownerId }),
      ...(roles && { roles: [...roles] }),
      createdAtMs: nowMs,
      expiresAtMs: nowMs + LIFETIME_MS[kind],
    };
    if (!await enrolments.insert(enrolment)) throw contended();
    return { code: letters.match(/.{4}/g)!.join("-"), enrolment };
  }

  /** What a code is good for, unless it was used or has expired. */
  async look(code: string, kind: EnrolmentKind): Promise<Enrolment | undefined> {
    return (await this.#find(code, kind))?.record;
  }

  /**
   * Uses a code up for whoever that is. Undefined when it does not count; again for the same one it does, so that who did
   * not hear the answer may ask again.
   */
  async use(code: string, kind: EnrolmentKind, by: string): Promise<Enrolment | undefined> {
    for (let attempt = 0; attempt < 3; attempt++) {
      const found = await this.#find(code, kind, by);
      if (!found || found.record.used) return found?.record;
      const used = { ...found.record, used: { atMs: this.#deps.clock.wallNow(), by } };
      if (await this.#deps.enrolments.replace(found, used)) return used;
    }
    return undefined;
  }

  /** Those that still count: of an operator, or the invitations of all. */
  async list(kind: EnrolmentKind, ownerId?: string): Promise<Enrolment[]> {
    const where = ownerId === undefined ? { index: "kind", value: kind } : { index: "owner", value: ownerId };
    const nowMs = this.#deps.clock.wallNow();
    const found = await this.#deps.enrolments.list(where, { limit: MAX_LISTED });
    return found.map(({ record }) => record)
      .filter((record) => record.kind === kind && !record.used && record.expiresAtMs > nowMs);
  }

  /** Whether there was such a code of that owner; of anyone when none is named. */
  async revoke(codeId: string, kind: EnrolmentKind, ownerId?: string): Promise<boolean> {
    const found = await this.#deps.enrolments.get(codeId);
    if (!found || found.record.kind !== kind || found.record.used) return false;
    if (ownerId !== undefined && found.record.ownerId !== ownerId) return false;
    return await this.#deps.enrolments.remove(found);
  }

  /** Lets no code that this one has used of that owner count for it again. */
  async forgetUsesBy(by: string, ownerId: string): Promise<void> {
    let after: string | undefined;
    for (;;) {
      const page = { limit: MAX_LISTED, ...(after !== undefined && { after }) };
      const found = await this.#deps.enrolments.list({ index: "owner", value: ownerId }, page);
      const used = found.filter(({ record }) => record.used?.by === by);
      // One that has changed since has been removed by another.
      await Promise.all(used.map((each) => this.#deps.enrolments.remove(each)));
      if (found.length < MAX_LISTED) return;
      after = found.at(-1)!.record.codeId;
    }
  }

  async #find(code: string, kind: EnrolmentKind, by?: string) {
    const letters = code.toLowerCase().replaceAll(/[\s-]/g, "");
    if (!/^[a-z2-7]{16}$/.test(letters)) return undefined;
    const found = await this.#deps.enrolments.get(this.#idOf(letters));
    if (!found || found.record.kind !== kind || found.record.expiresAtMs <= this.#deps.clock.wallNow()) {
      return undefined;
    }
    return found.record.used && found.record.used.by !== by ? undefined : found;
  }

  #idOf(letters: string): string {
    const hash = this.#deps.primitives.sha256(new TextEncoder().encode(`culvert/code/v1 ${letters}`));
    return encodeBase32(hash.subarray(0, 16));
  }
}

function contended(): CulvertError {
  return new CulvertError("store_contended", "Cannot make a code: others must not be in the way; try again");
}
