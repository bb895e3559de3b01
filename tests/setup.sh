#!/usr/bin/env bash
# Installs the Debian packages that the integration tests and the benchmarks use: clients to talk to us, servers to
# compare with, tools to make networks. Does nothing when all are there. Needs root to install; leaves no service running.
set -euo pipefail

packages=(
  bash              # completions are checked by the shells they are for
  zsh
  fish
  curl              # the client everybody has
  prometheus        # its promtool checks the metrics' text
  openssl           # certificates for local TLS servers
  iproute2          # network namespaces
  nftables          # firewalls and loss between them
  linux-image-amd64 # a guest with Debian's kernel and its WireGuard
  qemu-system-x86
  busybox-static
  cpio
  kmod
  xz-utils
  openssh-client    # `ssh -D`, a rival
  openssh-server
  wireguard-tools   # `wg`, which configures our device in the tests
  wireguard-go      # whom we talk to, and a rival
  iperf3            # streams and datagrams through tunnels
  iputils-ping
  ethtool           # what interfaces leave to hardware
  procps            # sysctl
  tmux              # terminals that tests type on
  tcpdump           # what really leaves an interface
  microsocks        # rivals
  dante-server
  tor
  kcptun            # whom the transports talk to, and a rival
  nginx-light       # rivals of the file server and the tracker
  caddy
  opentracker
  systemd           # runs the manager's units in namespaces of the tests
  supervisor        # rivals of the manager
  runit
  monit
  iptables          # machines that have no nft
  chromium          # the browser that pages are fetched with
  postgresql        # stores of the orchestrator; tests start servers of their own
  redis-server
  debootstrap       # a Debian to carry out the Dockerfile's steps in
)

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done

if [ ${#missing[@]} -eq 0 ]; then
  echo "setup: every package is installed"
  exit 0
fi
if ! command -v apt-get >/dev/null; then
  echo "setup: cannot install ${missing[*]}: there is no apt-get; install them by other means" >&2
  exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "setup: cannot install ${missing[*]}: must be run as root" >&2
  exit 1
fi

# Debian starts a service when its package is installed, unless this file says no.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi

echo "setup: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
install() { apt-get install -qq -y --no-install-recommends "${missing[@]}" >"$log" 2>&1; }
if ! { install || { apt-get update -qq >"$log" 2>&1 && install; }; }; then
  cat "$log" >&2
  echo "setup: apt-get could not install ${missing[*]}" >&2
  rm -f "$log"
  exit 1
fi
rm -f "$log"

# Nor should what was installed for tests start with the machine from now on.
if command -v systemctl >/dev/null && [ -d /run/systemd/system ]; then
  for package in "${missing[@]}"; do
    case $package in
      openssh-server) systemctl disable --quiet ssh.service ssh.socket 2>/dev/null || true ;;
      dante-server) systemctl disable --quiet danted.service 2>/dev/null || true ;;
      prometheus) systemctl disable --quiet prometheus.service 2>/dev/null || true ;;
      microsocks) systemctl disable --quiet microsocks.service 2>/dev/null || true ;;
      postgresql) systemctl disable --quiet postgresql.service 2>/dev/null || true ;;
      nginx-light) systemctl disable --quiet nginx.service 2>/dev/null || true ;;
      caddy) systemctl disable --quiet caddy.service 2>/dev/null || true ;;
      opentracker) systemctl disable --quiet opentracker.service 2>/dev/null || true ;;
      supervisor) systemctl disable --quiet supervisor.service 2>/dev/null || true ;;
      monit) systemctl disable --quiet monit.service 2>/dev/null || true ;;
      redis-server) systemctl disable --quiet redis-server.service 2>/dev/null || true ;;
      tor) systemctl disable --quiet tor.service 2>/dev/null || true ;;
    esac
  done
fi
echo "setup: done"
