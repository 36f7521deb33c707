#!/usr/bin/env bash
# The demo: a cluster of three masters and two workers on real containerd, a web app, and the death of the leader.
# MAINSTAY_DEMO_DIR chooses where it lives; `mainstay down --dir DIR` removes it again.
# MAINSTAY_DEMO_PROFILE=dev uses the quicker build that the tests use.
set -euo pipefail
cd "$(dirname "$0")/../.."
dir=${MAINSTAY_DEMO_DIR:-/var/lib/mainstay-demo}
profile=${MAINSTAY_DEMO_PROFILE:-release}
built="$CARGO_TARGET_DIR/$profile"
[ "$profile" = dev ] && built="$CARGO_TARGET_DIR/debug"
bin="$built/mainstay"

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
fail() { echo "demo: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || fail "containers and network namespaces want root: run it with sudo"

say "Building mainstay (the first time this takes about half an hour on two cores)"
cargo build --profile "$profile" -p mainstay -p mainstay-chaos
export PATH="$built:$PATH"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say "Building the web app's image: one static binary, no outside registry"
rustc --edition 2024 -O -C target-feature=+crt-static -C strip=symbols -o "$work/web" cli/demo/web.rs
umoci init --layout "$work/image"
umoci new --image "$work/image:web"
umoci insert --image "$work/image:web" "$work/web" /web
umoci config --image "$work/image:web" --config.entrypoint /web --config.user 65534
echo "$(du -h "$work/web" | cut -f1) binary in an image of one layer"

if [ -e "$dir/cluster.json" ]; then
    say "Removing the cluster that an earlier demo left in $dir"
    "$bin" down --dir "$dir"
fi

say "Starting three masters and two workers in $dir"
"$bin" up --dir "$dir" --masters 3 --workers 2 --runtime containerd --detach
export KUBECONFIG="$dir/kubeconfig"

registry=$(jq -er .registry "$dir/cluster.json") || fail "$dir/cluster.json names no registry"
say "Pushing the image to the cluster's registry at $registry"
skopeo copy -q --dest-tls-verify=false "oci:$work/image:web" "docker://$registry/demo/web:1"

say "Applying cli/demo/web.yaml"
"$bin" apply -f cli/demo/web.yaml
"$bin" rollout status deployment/web -n demo --timeout=120s
"$bin" get pods -n demo -o wide
"$bin" get service -n demo

say "The service through each node's port 30080"
nodes=$("$bin" get nodes -o json | jq -r '.items[].status.addresses[] | select(.type == "InternalIP").address')
for node in $nodes; do
    echo "curl http://$node:30080/"
    curl -sS --max-time 5 "http://$node:30080/" || fail "the service does not answer on $node"
done

say "Killing the leading master with kill -9, while a client writes and curls in a loop; then an agent and a worker stop"
first=$(head -n1 <<<"$nodes")
"$bin" cluster status
mainstay-chaos run --scenario failover --rounds 1 --dir "$dir" --curl "http://$first:30080/"
"$bin" cluster status

cat <<END

The cluster is yours. To go on:
  export KUBECONFIG=$KUBECONFIG
  alias mainstay=$bin
  mainstay get pods -A -o wide
  mainstay scale deployment/web -n demo --replicas=6
  mainstay logs -n demo deployment/web
  kubectl get all -n demo            # any kubectl works too
  mainstay down --dir $dir           # removes all of it
END
