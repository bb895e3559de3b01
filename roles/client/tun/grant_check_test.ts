import { assertEquals } from "@std/assert";
import { parseIp } from "../../../protocol/ip.ts";
import { faultOfGrant } from "./grant_check.ts";

const ips = (texts: readonly string[]) => texts.map((text) => parseIp(text)!);
const TAKEN = ips(["192.168.1.1", "192.168.1.7", "203.0.113.9", "2001:db8::9"]);

const grants: readonly { name: string; own?: string[]; gateway?: string; dns?: string; fault?: string }[] = [
  { name: "what exits grant", own: ["10.201.0.2", "fd77::2"] },
  { name: "the supernode's address", own: ["203.0.113.9"], fault: "203.0.113.9 is in use outside the tunnel" },
  { name: "the router's address", own: ["192.168.1.1"], fault: "192.168.1.1 is in use outside the tunnel" },
  { name: "a name server that is this machine", dns: "127.0.0.1", fault: "127.0.0.1 can be no host's in a tunnel" },
  { name: "a name server that is the router", dns: "192.168.1.1", fault: "192.168.1.1 is in use outside the tunnel" },
  { name: "no address", own: ["0.0.0.0"], fault: "0.0.0.0 can be no host's in a tunnel" },
  { name: "loopback, version 6", own: ["10.201.0.2", "::1"], fault: "::1 can be no host's in a tunnel" },
  { name: "a group", gateway: "224.0.0.1", fault: "224.0.0.1 can be no host's in a tunnel" },
  { name: "link-local", gateway: "fe80::1", fault: "fe80::1 can be no host's in a tunnel" },
  { name: "a disguise", own: ["::ffff:127.0.0.1"], fault: "::ffff:127.0.0.1 can be no host's in a tunnel" },
  { name: "its own address", own: ["10.201.0.1"], fault: "10.201.0.1 cannot be both ends'" },
];

for (const { name, own = ["10.201.0.2"], gateway = "10.201.0.1", dns = "10.201.0.1", fault } of grants) {
  Deno.test(`an exit grants ${name}`, () => {
    const granted = { addresses: ips(own), gateways: ips([gateway]), nameServers: ips([dns]) };
    assertEquals(faultOfGrant(granted, TAKEN), fault);
  });
}
