/**
 * The numbers of socket options and control messages that UDP sockets use here (linux/socket.h, in.h, in6.h, udp.h).
 */

export const AF_INET = 2;
export const AF_INET6 = 10;
/** SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC */
export const DATAGRAM_SOCKET = 2 | 0o4000 | 0o2000000;

/** SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC */
export const RAW_SOCKET = 3 | 0o4000 | 0o2000000;

export const SOL_SOCKET = 1;
export const SO_SNDBUF = 7;
export const SO_RCVBUF = 8;
/** A program of classic BPF that says which packets the socket gets. */
export const SO_ATTACH_FILTER = 26;
/** The name of an interface. */
export const SO_BINDTODEVICE = 25;
/** These two go beyond the system's limit and need CAP_NET_ADMIN. */
export const SO_SNDBUFFORCE = 32;
export const SO_RCVBUFFORCE = 33;
export const SO_MARK = 36;

export const IPPROTO_IP = 0;
export const IP_TOS = 1;
export const IP_TTL = 2;
export const IP_PKTINFO = 8;
/** Asks for each datagram's type of service, which comes as an IP_TOS of one byte. */
export const IP_RECVTOS = 13;

export const IPPROTO_IPV6 = 41;
export const IPV6_CHECKSUM = 7;
export const IPV6_UNICAST_HOPS = 16;
export const IPV6_V6ONLY = 26;
export const IPV6_RECVPKTINFO = 49;
export const IPV6_PKTINFO = 50;
/** Asks for each datagram's traffic class, which comes as an IPV6_TCLASS of four bytes. */
export const IPV6_RECVTCLASS = 66;
export const IPV6_TCLASS = 67;

export const IPPROTO_UDP = 17;
export const SOL_UDP = 17;
export const UDP_SEGMENT = 103;
export const UDP_GRO = 104;

export const MSG_NOSIGNAL = 0x4000;
