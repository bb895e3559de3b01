import { testWireGuardCrypto } from "../protocol/wireguard/fixtures/crypto_contract.ts";
import { hostCrypto } from "./host_aead.ts";

testWireGuardCrypto("host crypto", hostCrypto);
