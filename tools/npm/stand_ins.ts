/**
 * What the npm package has other modules for: Deno's sockets and what needs FFI or QUIC. Each stands in the place of the
 * module that is named first, and has every name that is asked of that. tsc, which compiles the package, sees to it.
 */
export const standIns: Readonly<Record<string, string>> = {
  "net/runtime.ts": "net/node/runtime.ts",
  "net/vtcp/open_vtcp.ts": "net/node/no_ffi.ts",
  "native/crypto.ts": "net/node/no_ffi.ts",
  "native/packet_cipher.ts": "net/node/no_ffi.ts",
  "native/packets/open_raw_carrier.ts": "net/node/no_ffi.ts",
  "native/packets/udp_carrier.ts": "net/node/no_ffi.ts",
  "testing/runner.ts": "testing/node_runner.ts",
};
