"""An operator made with kopf: a Greeting becomes a ConfigMap with its words, and says so in its status."""
import kopf
from kubernetes import client, config

config.load_kube_config()
core = client.CoreV1Api()


@kopf.on.startup()
def configure(settings, **_):
    settings.networking.request_timeout = 10
    settings.networking.connect_timeout = 5
    settings.persistence.finalizer = "example.com/greetings"


@kopf.on.create("example.com", "v1", "greetings")
def created(name, namespace, spec, body, **_):
    child = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"words": spec["words"]}}
    kopf.adopt(child, owner=body)
    core.create_namespaced_config_map(namespace, child)
    return {"words": spec["words"]}


@kopf.on.update("example.com", "v1", "greetings", field="spec.words")
def changed(name, namespace, new, patch, **_):
    core.patch_namespaced_config_map(name, namespace, {"data": {"words": new}})
    patch.status["created"] = {"words": new}


@kopf.on.delete("example.com", "v1", "greetings")
def gone(name, namespace, **_):
    core.delete_namespaced_config_map(name, namespace)


if __name__ == "__main__":
    kopf.run(standalone=True, namespaces=["default"])
