/**
 * Access tokens: JWTs (RFC 7519, RFC 9068) signed with Ed25519 (RFC 8037) that say for 15 minutes who somebody is. What
 * they may do is looked up with each request, so a role that is taken away or an account that is suspended counts at once.
 *
 *   header { alg: "EdDSA", typ: "at+jwt", kid }     claims { iss, aud: the orchestrator's id, sub: userId, sid, iat, exp }
 *
 * Several keys may check and the first signs, so that a key can be replaced while tokens of the one before still count.
 */

import { importJWK, type JWTHeaderParameters, jwtVerify, SignJWT } from "jose";
import type { Clock } from "../../../protocol/clock.ts";
import { encodeBase64Url } from "../../../protocol/encoding.ts";
import { CulvertError } from "../../../protocol/errors.ts";
import { KEY_BYTES, type Primitives } from "../../../protocol/primitives.ts";
import { accessIdSchema } from "../../../protocol/sharing/access_records.ts";
import { userIdSchema } from "../../../protocol/sharing/records.ts";

export const ACCESS_TOKEN_MS = 15 * 60_000;
const TYPE = "at+jwt";
const ALGORITHM = "EdDSA";
const MAX_TOKEN_CHARACTERS = 2048;

export interface AccessTokenDeps {
  /** Secret Ed25519 keys of 32 bytes; the first one signs. */
  readonly keys: readonly Uint8Array[];
  /** Who makes the tokens, and whom they are for. */
  readonly orchestratorId: string;
  readonly clock: Clock;
  readonly primitives: Primitives;
}

export interface AccessClaims {
  readonly userId: string;
  /** The login it came out of. */
  readonly familyId: string;
}

type Key = Awaited<ReturnType<typeof importJWK>>;

interface KeyPair {
  readonly signs: Key;
  readonly checks: Key;
}

export class AccessTokens {
  readonly #deps: AccessTokenDeps;
  readonly #byId: ReadonlyMap<string, KeyPair>;

  private constructor(deps: AccessTokenDeps, byId: ReadonlyMap<string, KeyPair>) {
    this.#deps = deps;
    this.#byId = byId;
  }

  /** Reads the keys. Throws `invalid_key` when there is none or one is not of 32 bytes. */
  static async open(deps: AccessTokenDeps): Promise<AccessTokens> {
    if (deps.keys.length === 0 || deps.keys.some((key) => key.length !== KEY_BYTES)) {
      throw new CulvertError("invalid_key", `Cannot sign tokens: there must be keys, each of ${KEY_BYTES} bytes`);
    }
    const pairs = await Promise.all(deps.keys.map(async (secret) => {
      const publicKey = deps.primitives.ed25519PublicKey(secret);
      const jwk = { kty: "OKP", crv: "Ed25519", x: encodeBase64Url(publicKey) };
      const keyId = encodeBase64Url(deps.primitives.sha256(publicKey).subarray(0, 8));
      const checks = await importJWK(jwk, ALGORITHM);
      return [keyId, { checks, signs: await importJWK({ ...jwk, d: encodeBase64Url(secret) }, ALGORITHM) }] as const;
    }));
    return new AccessTokens(deps, new Map(pairs));
  }

  async make({ userId, familyId }: AccessClaims): Promise<{ readonly token: string; readonly expiresAtMs: number }> {
    const { orchestratorId, clock } = this.#deps;
    const [keyId, { signs }] = this.#byId.entries().next().value!;
    const nowSeconds = Math.floor(clock.wallNow() / 1000);
    const expiresAt = nowSeconds + ACCESS_TOKEN_MS / 1000;
    const token = await new SignJWT({ sid: familyId })
      .setProtectedHeader({ alg: ALGORITHM, typ: TYPE, kid: keyId })
      .setIssuer(orchestratorId).setAudience(orchestratorId).setSubject(userId)
      .setIssuedAt(nowSeconds).setExpirationTime(expiresAt)
      .sign(signs);
    return { token, expiresAtMs: expiresAt * 1000 };
  }

  /** Whom it speaks for; "expired" for one of ours that counts no more, undefined for anything else. */
  async check(token: string): Promise<AccessClaims | "expired" | undefined> {
    if (token.length > MAX_TOKEN_CHARACTERS) return undefined;
    const { orchestratorId, clock } = this.#deps;
    try {
      const { payload } = await jwtVerify(token, (header) => this.#keyOf(header), {
        algorithms: [ALGORITHM],
        typ: TYPE,
        issuer: orchestratorId,
        audience: orchestratorId,
        requiredClaims: ["sub", "exp", "iat", "sid"],
        currentDate: new Date(clock.wallNow()),
      });
      const userId = userIdSchema.safeParse(payload.sub).data;
      const familyId = accessIdSchema.safeParse(payload.sid).data;
      return userId !== undefined && familyId !== undefined ? { userId, familyId } : undefined;
    } catch (error) {
      return (error as { code?: unknown }).code === "ERR_JWT_EXPIRED" ? "expired" : undefined;
    }
  }

  #keyOf({ kid }: JWTHeaderParameters): Key {
    const keys = this.#byId.get(kid ?? "");
    if (!keys) throw new CulvertError("invalid_key", "Cannot check a token: its key must be one of ours");
    return keys.checks;
  }
}
