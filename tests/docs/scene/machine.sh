#!/bin/bash
# A reader's machine: to be run as root in mount, net and pid namespaces of its own. Its folders are its own, and its user is
# `me`, who may become root by `sudo`. It runs what it is told on standard input:
#
#   machine.sh ORDERS SHARED CHECKOUT DENO CACHE
#
#   run N      ORDERS/N.sh in this shell, to its end
#   start N    ORDERS/N.sh beside it, as the process ORDERS/N.pid
#
# What it prints goes to ORDERS/N.out, and its exit code to ORDERS/N.code once it has ended. SHARED is what the machines of
# a story have in common (`shared.ts`); CACHE is Deno's, for every user.
set -eu
orders=$1 shared=$2 checkout=$3 deno=$4 cache=$5

stage=/run/stage
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p $stage/{orders,shared,checkout,cache,upper,writing} /run/lock
mount --bind "$orders" $stage/orders
mount --bind "$shared" $stage/shared
mount --bind "$checkout" $stage/checkout
mount --bind "$cache" $stage/cache
touch $stage/deno
mount --bind "$deno" $stage/deno
for folder in /etc /usr/local; do
  mkdir -p "$stage/upper$folder" "$stage/writing$folder"
  mount -t overlay overlay -o "lowerdir=$folder,upperdir=$stage/upper$folder,workdir=$stage/writing$folder" "$folder"
done
for folder in /root /home /var/lib; do mount -t tmpfs -o mode=755 tmpfs $folder; done
mount -t tmpfs -o mode=1777 tmpfs /tmp
mkdir -p "$checkout"
mount --bind -o ro $stage/checkout "$checkout"
mount -o remount,bind,ro "$checkout"

rm -rf /etc/culvert /etc/wireguard /etc/letsencrypt
mkdir -p /home/me/files /etc/culvert
mount --bind $stage/shared/files /home/me/files
cat $stage/shared/hosts > /etc/hosts
cp -r $stage/shared/etc/. /etc/ 2> /dev/null || true
cat $stage/shared/certificates/ours.pem >> /etc/ssl/certs/ca-certificates.crt
sed -i '/^[^:]*:[^:]*:1000:/d' /etc/passwd
echo 'me:x:1000:1000::/home/me:/bin/bash' >> /etc/passwd
chown -R 1000:1000 /home/me $stage/orders

# What sudo is for, without its package: root's environment is new, but for what finds Deno's cache and our certificates.
cp "$(command -v setpriv)" /usr/local/bin/become
chmod 4755 /usr/local/bin/become
cat > /usr/local/bin/sudo << 'END'
#!/bin/bash
kept=("HOME=/root" "USER=root" "LOGNAME=root" "SUDO_USER=me" "SUDO_UID=1000" "SUDO_GID=1000" "PATH=$PATH" "TERM=${TERM:-dumb}")
for name in DENO_DIR DENO_CERT DENO_NO_UPDATE_CHECK CULVERT_DRAIN_TIMEOUT; do kept+=("$name=${!name}"); done
exec become --reuid=0 --regid=0 --clear-groups env -i "${kept[@]}" "$@"
END
# `npx -y deno@VERSION`, where there is no registry.
cat > /usr/local/bin/npx << 'END'
#!/bin/bash
case "$1 $2" in "-y deno@$(deno eval -p Deno.version.deno)") shift 2; exec deno "$@" ;; esac
echo "npx: there is no registry here for $*" >&2
exit 1
END
printf '#!/bin/sh\nexec deno run -A "%s/roles/main.ts" "$@"\n' "$checkout" > /usr/local/bin/culvert
ln -sf $stage/deno /usr/local/bin/deno
chmod 755 /usr/local/bin/{sudo,npx,culvert}

export HOME=/home/me USER=me LOGNAME=me PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin TERM=dumb
export DENO_DIR=$stage/cache DENO_CERT=$stage/shared/certificates/ours.pem DENO_NO_UPDATE_CHECK=1
# Nobody waits for devices that are told nothing and never leave.
export CULVERT_DRAIN_TIMEOUT=2s
export CULVERT_CHECKOUT=$checkout ORDERS=$stage/orders
umask 000
cd /home/me/files
exec setpriv --reuid=1000 --regid=1000 --clear-groups bash -c '
  umask 022
  finish() { echo "$2" > "$ORDERS/$1.ended"; mv "$ORDERS/$1.ended" "$ORDERS/$1.code"; }
  while read -r verb order; do
    file=$ORDERS/$order
    [ -e "$file.in" ] || : > "$file.in"
    case $verb in
      run) source "$file.sh" < "$file.in" > "$file.out" 2>&1; finish "$order" "$?" ;;
      start)
        (
          code=0
          file=$file bash -c "echo \$\$ > \$file.pid; exec bash -c \"\$(cat \"\$file.sh\")\"" < "$file.in" > "$file.out" 2>&1 || code=$?
          finish "$order" "$code"
        ) &
        ;;
    esac
  done'
