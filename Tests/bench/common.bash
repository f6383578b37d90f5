# SPDX-License-Identifier: Apache-2.0
# Sourced by the benches: where the binary is, a busybox root file system, a state of their own. Leaves nothing.
set -euo pipefail
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
covey=${COVEY:-$repository/.build/release/covey}
bench=$repository/Tests/bench
fail() { echo "$(basename "$0"): $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || fail "needs root"
[ -x "$covey" ] || fail "no $covey; run: swift build -c release --static-swift-stdlib"
busybox=$(command -v busybox) || fail "needs the package busybox-static"

# A network namespace of its own: nothing of the machine's is touched, and the benches run beside a project.
if [ -z "${COVEY_BENCH_INSIDE:-}" ]; then
    export COVEY_BENCH_INSIDE=1
    exec unshare --net ${REALTIME:+--mount} "$0" "$@"
fi
floor_flags=()
# REALTIME=1: before whatever else the machine is busy with. A v1 cpu hierarchy refuses who has real-time priority unless it
# was given time for it (RT_GROUP_SCHED): it is taken out of sight, and the floor takes another one in its place.
if [ -n "${REALTIME:-}" ]; then
    for hierarchy in $(awk '$3 == "cgroup" && $4 ~ /(^|,)cpu(,|$)/ { print $2 }' /proc/mounts); do
        umount "$hierarchy"
        floor_flags=('-DCPU_CONTROLLER="blkio"')
    done
    chrt -f -p 20 $$
fi
ip link set lo up
export COVEY_NAMESPACES=caller
work=$(mktemp -d "${TMPDIR:-/var/tmp}/covey-bench.XXXXXX")
# The run directory is on a tmpfs, as /run is wherever systemd or a distribution's init set a machine up.
run=$(mktemp -d "$([ "$(stat -fc %T /dev/shm 2>/dev/null)" = tmpfs ] && echo /dev/shm || echo "$work")/covey-bench.XXXXXX")
export COVEY_ROOT=$work/root COVEY_RUN=$run
finish() {
    for file in "$work"/*.yaml "${extra_file:-}"; do
        [ -f "$file" ] && "$covey" -f "$file" down -v --timeout 1 >/dev/null 2>&1 || true
    done
    rm -rf --one-file-system "$work" "$run"
}
trap finish EXIT
mkdir -p "$COVEY_ROOT" "$COVEY_RUN" "$work/rootfs"/{bin,dev,etc,proc,sys,tmp,data}
cp "$busybox" "$work/rootfs/bin/busybox"
for applet in sh sleep true cat wc; do ln -s busybox "$work/rootfs/bin/$applet"; done

# stack_file N: N busybox services on one network with one volume, the stack the peers were measured with.
stack_file() {
    local file=$work/stack-$1.yaml
    {
        echo "name: bench$1"
        echo "services:"
        for i in $(seq "$1"); do
            printf '  s%s:\n    image: bb:1\n' "$i"
            printf '    command: ["sh", "-c", "%s"]\n' "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done"
            printf '    networks: [net]\n    volumes: ["data:/data"]\n'
        done
        echo "networks: {net: {}}"
        echo "volumes: {data: {}}"
    } >"$file"
    echo "$file"
}
