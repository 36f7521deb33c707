"""Writes, reads and watches over gRPC with what grpcio-tools generates from objects.proto, whose path is the argument; the test
reads the last line."""
import base64
import json
import os
import queue
import sys
import tempfile

import grpc
import yaml
from grpc_tools import protoc

source = sys.argv[1]
generated = tempfile.mkdtemp()
arguments = ["protoc", f"-I{os.path.dirname(source)}", f"--python_out={generated}", f"--grpc_python_out={generated}", source]
assert protoc.main(arguments) == 0
sys.path.insert(0, generated)
import objects_pb2 as pb  # noqa: E402
import objects_pb2_grpc  # noqa: E402

# The credentials of the kubeconfig: one CA, one client certificate.
with open(os.environ["KUBECONFIG"]) as file:
    config = yaml.safe_load(file)
cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
decoded = {key: base64.b64decode(value) for key, value in {**cluster, **user}.items() if key.endswith("-data")}
credentials = grpc.ssl_channel_credentials(
    decoded["certificate-authority-data"], decoded["client-key-data"], decoded["client-certificate-data"]
)
channel = grpc.secure_channel(cluster["server"].removeprefix("https://"), credentials)
objects = objects_pb2_grpc.ObjectsStub(channel)


def place(name):
    return pb.ResourceRef(version="v1", resource="configmaps", namespace="default", name=name)


def config_map(name):
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}).encode()


# Two objects, both or neither.
both = [pb.TxnOperation(create=pb.CreateRequest(ref=place(""), object=config_map(name))) for name in ("a", "b")]
made = objects.Txn(pb.TxnRequest(operations=both), timeout=10)
assert len(made.results) == 2, made
try:
    objects.Txn(pb.TxnRequest(operations=both), timeout=10)
    raise AssertionError("made twice")
except grpc.RpcError as refused:
    status = json.loads(dict(refused.trailing_metadata())["mainstay-status-bin"])
    assert refused.code() == grpc.StatusCode.ALREADY_EXISTS and status["reason"] == "AlreadyExists", status

commands = queue.Queue()
start = pb.WatchStart(id=7, ref=place(""), resource_version=made.resource_version)
commands.put(pb.WatchCommand(start=start))
updates = objects.Watch(iter(commands.get, None), timeout=30)

seen = []
try:
    patch = pb.PatchRequest(ref=place("a"), type=pb.PATCH_TYPE_MERGE, patch=b'{"data": {"k": "v"}}')
    objects.Patch(patch, timeout=10)
    read = json.loads(objects.Get(pb.GetRequest(ref=place("a")), timeout=10).object)
    assert read["data"] == {"k": "v"}, read
    objects.Delete(pb.DeleteRequest(ref=place("b")), timeout=10)
    listed = objects.List(pb.ListRequest(ref=place(""), field_selector="metadata.name=a"), timeout=10)
    assert len(listed.items) == 1, listed

    for update in updates:
        assert update.id == 7 and not update.error, update
        for event in update.events.events:
            name = json.loads(event.object)["metadata"]["name"]
            if name not in ("a", "b"):  # The controllers put one of their own here.
                continue
            seen.append(f"{pb.WatchEventType.Name(event.type).removeprefix('WATCH_EVENT_TYPE_')} {name}")
        if len(seen) == 2:
            break
finally:
    # An open call can keep grpcio from ending the program.
    updates.cancel()
    commands.put(None)
    channel.close()
print("seen:", ", ".join(seen))
