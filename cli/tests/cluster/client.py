"""Lists nodes, then follows a ConfigMap and a Deployment through their lives; the test reads the last line."""
import threading

from kubernetes import client, config, watch

config.load_kube_config()
core, apps = client.CoreV1Api(), client.AppsV1Api()

nodes = core.list_node().items
assert len(nodes) == 2, nodes
assert all(node.status.allocatable["cpu"] for node in nodes)


def deployment():
    labels = {"app": "py"}
    container = client.V1Container(name="web", image="registry.local/web:1")
    template = client.V1PodTemplateSpec(
        metadata=client.V1ObjectMeta(labels=labels), spec=client.V1PodSpec(containers=[container])
    )
    spec = client.V1DeploymentSpec(
        replicas=2, selector=client.V1LabelSelector(match_labels=labels), template=template
    )
    return client.V1Deployment(metadata=client.V1ObjectMeta(name="py"), spec=spec)


apps.create_namespaced_deployment("default", deployment())
ready = watch.Watch()
for event in ready.stream(apps.list_namespaced_deployment, "default", timeout_seconds=60):
    if event["object"].status.ready_replicas == 2:
        ready.stop()
assert apps.read_namespaced_deployment("py", "default").status.ready_replicas == 2
pages = core.list_pod_for_all_namespaces(limit=1)
assert len(pages.items) == 1 and pages.metadata._continue, pages.metadata


def life():
    core.create_namespaced_config_map("default", client.V1ConfigMap(metadata=client.V1ObjectMeta(name="py")))
    core.patch_namespaced_config_map("py", "default", {"data": {"a": "1"}})
    core.delete_namespaced_config_map("py", "default")


start = core.list_namespaced_config_map("default").metadata.resource_version
writer = threading.Thread(target=life)
writer.start()
kinds = []
following = watch.Watch()
for event in following.stream(
    core.list_namespaced_config_map, "default", resource_version=start, timeout_seconds=60
):
    if event["object"].metadata.name == "py":
        kinds.append(event["type"])
    if kinds[-1:] == ["DELETED"]:
        following.stop()
writer.join()
try:
    core.read_namespaced_config_map("py", "default")
    raise AssertionError("it is still there")
except client.ApiException as gone:
    assert gone.status == 404, gone
print("seen:", *kinds)
