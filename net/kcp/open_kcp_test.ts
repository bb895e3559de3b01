import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { clockOf } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import { randomOf } from "../../protocol/random.ts";
import { policyOf } from "../../protocol/egress_policy.ts";
import { type OpenOptions, openPath } from "../open.ts";

const options: OpenOptions = {
  clock: clockOf(globalThis),
  random: randomOf(crypto),
  log: silentLog,
  metrics: noMetrics,
  policy: policyOf(),
};
const KEY = "A".repeat(43);
const CREDENTIAL = `wEo_w20QQmZtY_VqvTZmyyEmiYs_aHtVgo9FF5n24hk.jqA0jY49rt5zhaD3gb1W7HUNvjtzYqt4l_nbJax2zks`;

const wrong: Readonly<Record<string, readonly [url: string, words: string]>> = {
  "no port": [`kcp+udp://${CREDENTIAL}@server.example/`, "scheme://key@host:port"],
  "ports the wrong way round": [`kcp+udp://${CREDENTIAL}@server.example:7-3/`, "must have a port"],
  "a port that is none": [`kcp+udp://${CREDENTIAL}@server.example:70000/`, "must have a port"],
  "no credential": ["kcp+udp://server.example:4000/", "must have the credential"],
  "a credential that is none": [`kcp+udp://${KEY}@server.example:4000/`, "Cannot"],
  "a path": [`kcp+udp://${CREDENTIAL}@server.example:4000/there`, "scheme://key@host:port"],
  "a dialect that is none": [`kcp+udp://${CREDENTIAL}@h:4000/?dialect=quic`, "dialect culvert or kcptun or paqet"],
  "a setting that is none": [`kcp+udp://${CREDENTIAL}@h:4000/?colour=red`, 'got "colour"'],
  "a setting of raw packets": [`kcp+udp://${CREDENTIAL}@h:4000/?interface=eth0`, 'got "interface"'],
  "a setting said twice": [`kcp+udp://${CREDENTIAL}@h:4000/?links=1&links=2`, 'must say "links" once'],
  "too many links": [`kcp+udp://${CREDENTIAL}@h:4000/?links=65`, 'links between 1 and 64, got "65"'],
  "a window of nothing": [`kcp+udp://${CREDENTIAL}@h:4000/?window=1`, "window between 16 and 32768"],
  "an mtu that is too small": [`kcp+udp://${CREDENTIAL}@h:4000/?mtu=100`, "mtu between 576 and 1500"],
  "a hop that is no number": [`kcp+udp://${CREDENTIAL}@h:4000/?hop=soon`, "hop between 0 and 86400"],
  "relays that are none": [`kcp+udp://${CREDENTIAL}@h:4000/?via=somewhere`, "must have via"],
  "a key that cannot be decoded": ["kcp+udp://%zz@h:4000/", "percent-decoded"],
  "kcptun: several ports": ["kcp+udp://k@h:4000-4001/?dialect=kcptun", "must have one port"],
  "kcptun: a crypt that is none": ["kcp+udp://k@h:4000/?dialect=kcptun&crypt=rot13", "must have crypt"],
  "kcptun: a mode that is none": ["kcp+udp://k@h:4000/?dialect=kcptun&mode=slow", "must have mode"],
  "kcptun: shards": ["kcp+udp://k@h:4000/?dialect=kcptun&datashard=99", "must have datashard"],
  "kcptun: what the far end is": ["kcp+udp://k@h:4000/?dialect=kcptun&far=near", "far fixed or socks5"],
  "paqet: several ports": ["kcp+udp://k@h:4000-4001/?dialect=paqet", "must have one port"],
  "paqet: no key": ["kcp+udp://h:4000/?dialect=paqet", "key must be given"],
  "paqet: flags that are none": ["kcp+udp://k@h:4000/?dialect=paqet&local_flag=PX", "must have local_flag"],
  "paqet: a block that is none": ["kcp+udp://k@h:4000/?dialect=paqet&block=rot13", "must have block"],
  "vtcp: no credential": ["vtcp://h:4001/", "must have the credential"],
  "vtcp: relays": [`vtcp+udp://${CREDENTIAL}@h:4001/?via=${KEY}@h:1`, "via only of kcp+udp"],
  "vtcp: a dialect that is none": [
    `vtcp://${CREDENTIAL}@h:4001/?dialect=kcptun`,
    "dialect culvert or gfk-py or gfk-go",
  ],
  "gfk-go: no secret": ["vtcp://h:4001/?dialect=gfk-go&carrier=kcp", "must have the secret"],
  "gfk-go: nothing known of the server": ["vtcp://k@h:4001/?dialect=gfk-go", "certificate"],
  "gfk-py: kcp": ["vtcp://k@h:4001/?dialect=gfk-py&carrier=kcp", "must have carrier quic"],
};

for (const [name, [url, words]] of Object.entries(wrong)) {
  Deno.test(`a URL that cannot be opened: ${name}`, () => {
    const error = assertThrows(() => openPath(url, options), CulvertError);
    assertStringIncludes(error.message, words);
    assertEquals(error.message.includes(CREDENTIAL), false);
  });
}

Deno.test("URLs of every dialect, with every setting they have, are opened", async () => {
  const right = [
    `kcp+udp://${CREDENTIAL}@127.0.0.1:9-12/?dialect=culvert&links=2&hop=0&window=1024&mtu=1200`,
    `kcp+udp://${CREDENTIAL}@[::1]:9/`,
    "kcp+udp://pass%20phrase@127.0.0.1:9/?dialect=kcptun&crypt=salsa20&mode=manual&nodelay=1&interval=20&resend=2&nc=1" +
    "&mtu=1200&sndwnd=64&rcvwnd=64&datashard=3&parityshard=1&nocomp=1&acknodelay=1&smuxver=1&smuxbuf=4194304" +
    "&streambuf=65536&keepalive=5&conn=2&autoexpire=60&scavengettl=60&far=socks5&halfclose=1",
    "kcp+udp://k@127.0.0.1:9/?dialect=paqet&block=xor&mode=manual&nodelay=1&interval=20&resend=2&nocongestion=1&wdelay=1" +
    "&acknodelay=1&mtu=1200&sndwnd=64&rcvwnd=64&dshard=3&pshard=1&smuxbuf=4194304&streambuf=65536&smuxkalive=2" +
    "&smuxktimeout=8&conn=2&local_flag=PA,A&remote_flag=PA",
  ];
  for (const url of right) {
    using path = openPath(url, options);
    path.close();
    await path.closed?.();
  }
});
