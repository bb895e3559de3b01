import { assert, assertEquals } from "@std/assert";
import { ByteLog } from "./byte_log.ts";
import { type Meddle, Meddler } from "./meddler.ts";
import { within } from "./waiting.ts";

/** Answers each binary message with itself. */
function echo(): Deno.HttpServer<Deno.NetAddr> {
  return Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    if (request.headers.get("upgrade") !== "websocket") return new Response(request.body ?? "plain");
    const { socket, response } = Deno.upgradeWebSocket(request);
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => socket.send(data);
    return response;
  }) as Deno.HttpServer<Deno.NetAddr>;
}

/** What comes back for some messages, until as many have come as are said to. */
async function answers(meddle: Meddle, messages: readonly number[][], count: number): Promise<number[][]> {
  await using server = echo();
  await using meddler = Meddler.start({ host: "127.0.0.1", port: server.addr.port });
  meddler.meddle = meddle;
  const socket = new WebSocket(`ws://127.0.0.1:${meddler.address.port}/somewhere`);
  socket.binaryType = "arraybuffer";
  const got: number[][] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.onopen = () => messages.forEach((each) => socket.send(Uint8Array.from(each)));
  socket.onmessage = ({ data }) => {
    got.push([...new Uint8Array(data)]);
    if (got.length === count) resolve();
  };
  await within("the answers", promise);
  const { promise: closed, resolve: onClose } = Promise.withResolvers<void>();
  socket.onclose = () => onClose();
  socket.close(1000);
  await within("the end", closed);
  assert(meddler.seen.has("GET /somewhere HTTP/1.1"));
  return got;
}

const [FIRST, SECOND] = [[1, 2, 3], [4, 5]];

const meddlers: { name: string; meddle: Meddle; gives: number[][] }[] = [
  { name: "does nothing", meddle: (message) => [message], gives: [FIRST, SECOND] },
  {
    name: "drops",
    meddle: (message, direction) => direction === "to_server" && message[0] === 1 ? [] : [message],
    gives: [SECOND],
  },
  {
    name: "repeats",
    meddle: (message, direction) => direction === "to_client" ? [message, message] : [message],
    gives: [FIRST, FIRST, SECOND, SECOND],
  },
  {
    name: "changes",
    meddle: (message, direction) => direction === "to_client" ? [message.with(0, 9)] : [message],
    gives: [[9, 2, 3], [9, 5]],
  },
];

for (const { name, meddle, gives } of meddlers) {
  Deno.test(`a meddler who ${name}`, async () => {
    assertEquals(await answers(meddle, [FIRST, SECOND], gives.length), gives);
  });
}

Deno.test("a meddler carries large messages and plain requests unchanged", async () => {
  const large = Array.from({ length: 200_000 }, (_, at) => at & 0xff);
  assertEquals(await answers((message) => [message], [large], 1), [large]);
  await using server = echo();
  await using meddler = Meddler.start({ host: "127.0.0.1", port: server.addr.port });
  const response = await fetch(`http://127.0.0.1:${meddler.address.port}/`, { method: "POST", body: "said in plain" });
  assertEquals(await response.text(), "said in plain");
  assert(meddler.seen.has("said in plain"));
});

Deno.test("what two logs share is found, and what is known is not told", () => {
  const [one, other, known] = [new ByteLog(), new ByteLog(), new ByteLog()];
  one.add(Uint8Array.from([0, 1, 2, 0, 4, 5, 6, 0, 8, 99]));
  other.add(Uint8Array.from([55, 1, 2, 0, 4, 5, 6, 0, 8]));
  for (const log of [one, other]) log.add(Uint8Array.from([9, 9, 0, 9, 9, 0, 0, 9, 9]));
  assertEquals(one.shared(other), ["0102000405060008"]);
  known.add(Uint8Array.from([1, 2, 0, 4, 5, 6, 0, 8]));
  assertEquals(one.shared(other, known), []);
  assert(one.has(Uint8Array.of(5, 6, 0)) && !one.has(Uint8Array.of(5, 7)));
});
