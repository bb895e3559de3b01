import { portableWireGuardCrypto } from "./crypto.ts";
import { testWireGuardCrypto } from "./fixtures/crypto_contract.ts";

testWireGuardCrypto("portable crypto", () => ({ ...portableWireGuardCrypto }));
