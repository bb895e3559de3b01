import { assert, assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { assertDecoderSurvives, mutationsOf, piecesOf } from "../../testing/fuzz.ts";
import { formatCidr } from "../ip.ts";
import { MAX_PEERS } from "./constants.ts";
import { anyChange, anyStatus } from "./fixtures/arbitraries.ts";
import { heapOf } from "./fixtures/heap.ts";
import { formatErrno, formatSet, formatStatus, UAPI_GET, UapiErrno } from "./uapi.ts";
import { MAX_LINE_BYTES } from "./uapi_line.ts";
import { type UapiReply, UapiReplyReader } from "./uapi_reply.ts";
import { type UapiRequest, UapiRequestReader } from "./uapi_request.ts";

const [K1, K2] = ["1a".repeat(32), "2B".repeat(32)];
const NO_KEY = "0".repeat(64);

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

function requestsIn(text: string): UapiRequest[] {
  return new UapiRequestReader({ scopeOf: (name) => name === "eth0" ? 2 : undefined }).read(bytesOf(text));
}

function changeIn(lines: string): unknown {
  const [request, ...others] = requestsIn(`set=1\n${lines}\n`);
  assertEquals(others, []);
  return request?.kind === "set" ? request.change : request;
}

Deno.test("a change survives its text, in whatever pieces it comes, one after another", () => {
  const changes = fc.array(anyChange, { minLength: 1, maxLength: 3 });
  const cut = changes.chain((changes) => {
    const text = changes.map((change) => formatSet(change) + UAPI_GET).join("");
    return fc.tuple(fc.constant(changes), piecesOf(fc.constant(bytesOf(text))));
  });
  fc.assert(fc.property(cut, ([changes, pieces]) => {
    const reader = new UapiRequestReader();
    assertEquals(
      pieces.flatMap((piece) => reader.read(piece)),
      changes.flatMap((change) => [{ kind: "set" as const, change }, { kind: "get" as const }]),
    );
  }));
});

Deno.test("a state survives its text, in whatever pieces it comes", () => {
  const cut = anyStatus.chain((status) =>
    fc.tuple(fc.constant(status), piecesOf(fc.constant(bytesOf(formatStatus(status)))))
  );
  fc.assert(fc.property(cut, ([status, pieces]) => {
    const reader = new UapiReplyReader();
    const replies = pieces.map((piece) => reader.read(piece)).filter((reply) => reply !== undefined);
    assertEquals(replies.length, 1);
    assertEquals(replies[0]!.errno, 0);
    assertEquals(rounded(replies[0]!), rounded({ errno: 0, status }));
  }));
});

/** Handshake times to the microsecond, which is finer than a double holds today. */
function rounded({ status }: UapiReply): unknown {
  return {
    ...status,
    peers: status.peers.map((peer) => ({ ...peer, lastHandshakeMs: Math.round(peer.lastHandshakeMs * 1000) })),
  };
}

Deno.test("what wg sends to add a peer is understood", () => {
  const change = changeIn(
    `private_key=${K1}\nlisten_port=51820\nfwmark=0\nreplace_peers=true\npublic_key=${K2}\npreshared_key=${NO_KEY}\n` +
      "endpoint=[fe80::1%eth0]:51820\npersistent_keepalive_interval=25\nreplace_allowed_ips=true\n" +
      "allowed_ip=10.0.0.1/24\nallowed_ip=-fd00::/8\nprotocol_version=1\n",
  );
  assertEquals(change, {
    privateKey: new Uint8Array(32).fill(0x1a),
    listenPort: 51820,
    fwmark: 0,
    replacePeers: true,
    peers: [{
      publicKey: new Uint8Array(32).fill(0x2b),
      presharedKey: new Uint8Array(32),
      endpoint: { address: new Uint8Array([0xfe, 0x80, ...new Array(13).fill(0), 1]), port: 51820, scopeId: 2 },
      persistentKeepaliveS: 25,
      replaceAllowedIps: true,
      allowedIps: [
        { cidr: { address: new Uint8Array([10, 0, 0, 0]), bits: 24 } },
        { cidr: { address: new Uint8Array([0xfd, ...new Array(15).fill(0)]), bits: 8 }, remove: true },
      ],
    }],
  });
});

Deno.test("an empty set changes nothing, and replacing forgets what the same set gave before", () => {
  assertEquals(changeIn(""), {});
  const change = changeIn(`public_key=${K1}\nallowed_ip=10.0.0.0/8\nreplace_allowed_ips=true\nallowed_ip=fd00::/8\n`);
  const [peer] = (change as { peers: { replaceAllowedIps: boolean; allowedIps: { cidr: never }[] }[] }).peers;
  assertEquals([peer!.replaceAllowedIps, peer!.allowedIps.map(({ cidr }) => formatCidr(cidr))], [true, ["fd00::/8"]]);
});

const { EINVAL, EPROTO } = UapiErrno;

const wrongLines: [name: string, lines: string, errno: number][] = [
  ["a field that does not exist", "jc=4", EINVAL],
  ["a line without =", "listen_port", EPROTO],
  ["a peer's field before any peer", "preshared_key=" + K1, EINVAL],
  ["a device's field after a peer", `public_key=${K1}\nlisten_port=1`, EINVAL],
  ["a short key", `private_key=${K1.slice(1)}`, EINVAL],
  ["port 65536", "listen_port=65536", EINVAL],
  ["a negative port", "listen_port=-1", EINVAL],
  ["a port with a space", "listen_port= 1", EINVAL],
  ["a mark of 33 bits", "fwmark=4294967296", EINVAL],
  ["replace_peers=false", "replace_peers=false", EINVAL],
  ["remove=1", `public_key=${K1}\nremove=1`, EINVAL],
  ["protocol 2", `public_key=${K1}\nprotocol_version=2`, EINVAL],
  ["an endpoint's name", `public_key=${K1}\nendpoint=example.com:1`, EINVAL],
  ["an interface that is not there", `public_key=${K1}\nendpoint=[fe80::1%eth1]:1`, EINVAL],
  ["an allowed address without bits", `public_key=${K1}\nallowed_ip=10.0.0.0`, EINVAL],
  ["an allowed address with two signs", `public_key=${K1}\nallowed_ip=--10.0.0.0/8`, EINVAL],
  ["a property of every object", `public_key=${K1}\n__proto__=1`, EINVAL],
];

for (const [name, lines, errno] of wrongLines) {
  Deno.test(`a set with ${name} is answered ${errno}, and the next request is read`, () => {
    const [bad, next, ...others] = requestsIn(`set=1\n${lines}\npublic_key=${K2}\n\n${UAPI_GET}`);
    assert(bad?.kind === "bad" && bad.errno === errno && !bad.isLast, JSON.stringify(bad));
    assert(!/[0-9a-f]{20}/.test(bad.reason), bad.reason);
    assertEquals([next, others], [{ kind: "get" }, []]);
  });
}

Deno.test("a get with fields is answered EINVAL", () => {
  const [bad, next] = requestsIn(`get=1\nlisten_port=1\n\n${UAPI_GET}`);
  assert(bad?.kind === "bad" && bad.errno === EINVAL && !bad.isLast);
  assertEquals(next, { kind: "get" });
});

for (const text of ["\n", "get=2\n", "GET / HTTP/1.1\r\n", "set=1 \n", `${"x".repeat(MAX_LINE_BYTES + 1)}\n`]) {
  Deno.test(`what begins with ${JSON.stringify(text.slice(0, 20))} is no request, and nothing behind it is read`, () => {
    const reader = new UapiRequestReader();
    const [bad, ...others] = reader.read(bytesOf(text + UAPI_GET));
    assert(bad?.kind === "bad" && bad.isLast);
    assertEquals([others, reader.read(bytesOf(UAPI_GET))], [[], []]);
  });
}

Deno.test("a line that is too long ends the conversation before it ends itself, and costs no memory", () => {
  const reader = new UapiRequestReader();
  const chunk = new Uint8Array(1 << 20).fill(0x61);
  reader.read(bytesOf("set=1\nprivate_key="));
  const [bad, ...others] = reader.read(chunk);
  assert(bad?.kind === "bad" && bad.isLast);
  const bytes = heapOf(() => {
    for (let round = 0; round < 1024; round++) others.push(...reader.read(chunk));
  });
  assertEquals(others, []);
  assert(bytes < 100_000, `${bytes} bytes kept`);
});

Deno.test("a set of more peers than a device takes is refused and keeps nothing", () => {
  const reader = new UapiRequestReader();
  reader.read(bytesOf("set=1\n"));
  const peers = bytesOf(`public_key=${K1}\n`.repeat(1024));
  for (let count = 0; count <= MAX_PEERS; count += 1024) assertEquals(reader.read(peers), []);
  const [bad] = reader.read(bytesOf("\n"));
  assert(bad?.kind === "bad" && bad.errno === EINVAL && bad.reason.includes(`${MAX_PEERS} peers`));
});

const replies: [name: string, text: string, errno: number][] = [
  ["success", "errno=0\n\n", 0],
  ["a negative number", "errno=-98\n\n", 98],
  ["a positive number", "errno=98\n\n", 98],
  ["no number", "listen_port=1\n\n", EPROTO],
  ["a number that is none", "errno=x\n\n", EPROTO],
  ["nonsense", "hello\nerrno=0\n\n", EPROTO],
  ["a malformed key", "private_key=12\nerrno=0\n\n", EPROTO],
  ["a line that is too long", `private_key=${"1".repeat(MAX_LINE_BYTES)}\nerrno=0\n\n`, EPROTO],
];

for (const [name, text, errno] of replies) {
  Deno.test(`a reply with ${name} is read as ${errno}`, () => {
    const reader = new UapiReplyReader();
    assertEquals(reader.read(bytesOf(text))?.errno, errno);
    assertEquals(reader.read(bytesOf(formatErrno(0)))?.errno, 0);
  });
}

Deno.test("a reply's unknown fields are passed over, keys of zeros are none, endpoints nobody knows left out", () => {
  const reply = new UapiReplyReader().read(bytesOf(
    `private_key=${NO_KEY}\nlisten_port=7\njc=4\npublic_key=${K1}\npreshared_key=${NO_KEY}\nadvanced=on\n` +
      "last_handshake_time_nsec=250000000\nlast_handshake_time_sec=1700000000\nendpoint=[fe80::1%eth7]:1\n" +
      "rx_bytes=18446744073709551615\ntx_bytes=5\nerrno=0\n\n",
  ));
  assertEquals(reply, {
    errno: 0,
    status: {
      listenPort: 7,
      fwmark: 0,
      peers: [{
        publicKey: new Uint8Array(32).fill(0x1a),
        persistentKeepaliveS: 0,
        lastHandshakeMs: 1_700_000_000_250,
        receivedBytes: 2 ** 64,
        sentBytes: 5,
        allowedIps: [],
      }],
    },
  });
});

Deno.test("errors are answered with negative numbers", () => {
  assertEquals([formatErrno(0), formatErrno(UapiErrno.EADDRINUSE)], ["errno=0\n\n", "errno=-98\n\n"]);
});

Deno.test("any bytes at all are read or refused, as requests and as replies", () => {
  const requests = anyChange.map((change) => bytesOf(formatSet(change)));
  const answers = anyStatus.map((status) => bytesOf(formatStatus(status)));
  assertDecoderSurvives((bytes) => new UapiRequestReader().read(bytes), { valid: requests });
  assertDecoderSurvives((bytes) => new UapiReplyReader().read(bytes), { valid: answers });
});

Deno.test("a mutated set is one that was meant, or one that could have been written", () => {
  fc.assert(fc.property(mutationsOf(anyChange.map((change) => bytesOf(formatSet(change)))), (bytes) => {
    for (const request of new UapiRequestReader().read(bytes)) {
      if (request.kind !== "set") continue;
      assertEquals(requestsIn(formatSet(request.change)), [request]);
    }
  }));
});
