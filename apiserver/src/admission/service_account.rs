//! Every pod runs as a service account and finds its token.

use std::sync::Arc;

use async_trait::async_trait;
use mainstay_api::meta;
use mainstay_api::status::ApiResult;
use rand::Rng as _;
use serde_json::{Value, json};

use super::{Attributes, Operation, Plugin, list_mut, mountable_secrets, node_restriction};
use crate::strategy::base::set;

const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME: &str = "kube-api-access-";
const MIRROR: &str = "kubernetes.io/config.mirror";
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// How often the account `default` is looked for, which a controller makes with each namespace.
const TRIES: usize = 10;

/// ServiceAccount.
pub(crate) struct ServiceAccount;

#[async_trait]
impl Plugin for ServiceAccount {
    fn name(&self) -> &'static str {
        "ServiceAccount"
    }

    async fn mutate(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        if !request.creates("", "pods") {
            return Ok(());
        }
        let Some(pod) = request.object.as_ref() else { return Ok(()) };
        if meta::annotation(pod, MIRROR).is_some() {
            return mirror(request);
        }
        let named = text(pod, "/spec/serviceAccountName").to_owned();
        let name = if named.is_empty() { "default".to_owned() } else { named };
        let account = find(request, &name).await?;
        let Some(pod) = request.object.as_mut() else { return Ok(()) };
        set(pod, "/spec/serviceAccountName", name.clone().into());
        set(pod, "/spec/serviceAccount", name.into());
        if automounts(pod, &account) {
            mount(pod);
        }
        let no_secrets = pod.pointer("/spec/imagePullSecrets").and_then(Value::as_array).is_none_or(Vec::is_empty);
        if let (true, Some(secrets)) = (no_secrets, account.get("imagePullSecrets").filter(|list| !list.is_null())) {
            set(pod, "/spec/imagePullSecrets", secrets.clone());
        }
        mountable_secrets::check(&account, pod).map_err(|why| request.forbidden(why))
    }

    async fn validate(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        let adds = request.operation == Operation::Update && request.subresource == "ephemeralcontainers";
        if !request.is("", "pods") || !(adds || request.creates("", "pods")) {
            return Ok(());
        }
        let Some(pod) = request.object.as_ref() else { return Ok(()) };
        if !adds && meta::annotation(pod, MIRROR).is_some() {
            return mirror(request);
        }
        let name = text(pod, "/spec/serviceAccountName");
        if name.is_empty() {
            let (namespace, name) = (request.namespace, meta::name(pod));
            return Err(request.forbidden(format!("no service account specified for pod {namespace}/{name}")));
        }
        let account = find(request, name).await?;
        let check = if adds { mountable_secrets::check_ephemeral } else { mountable_secrets::check };
        check(&account, pod).map_err(|why| request.forbidden(why))
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A node's own pod cannot use what is guarded.
fn mirror(request: &Attributes<'_>) -> ApiResult<()> {
    let Some(pod) = request.object.as_ref() else { return Ok(()) };
    if !text(pod, "/spec/serviceAccountName").is_empty() {
        return Err(request.forbidden("a mirror pod may not reference service accounts"));
    }
    let spec = pod.get("spec").unwrap_or(&Value::Null);
    if node_restriction::mentions(spec, node_restriction::SECRETS) {
        return Err(request.forbidden("a mirror pod may not reference secrets"));
    }
    if node_restriction::mentions(spec, &["serviceAccountToken"]) {
        return Err(request.forbidden("a mirror pod may not use ServiceAccountToken volume projections"));
    }
    Ok(())
}

async fn find(request: &Attributes<'_>, name: &str) -> ApiResult<Arc<Value>> {
    let tries = if name == "default" { TRIES } else { 1 };
    for attempt in 0..tries {
        if let Some(account) = request.reader.get("", "serviceaccounts", request.namespace, name) {
            return Ok(account);
        }
        if attempt + 1 < tries {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
    let why =
        format!("error looking up service account {}/{name}: serviceaccount \"{name}\" not found", request.namespace);
    Err(request.forbidden(why))
}

fn automounts(pod: &Value, account: &Value) -> bool {
    let own = pod.pointer("/spec/automountServiceAccountToken").and_then(Value::as_bool);
    own.or_else(|| account.get("automountServiceAccountToken").and_then(Value::as_bool)).unwrap_or(true)
}

/// Mounts the token where a container has nothing in its place.
fn mount(pod: &mut Value) {
    let volumes = pod.pointer("/spec/volumes").and_then(Value::as_array).into_iter().flatten();
    // A volume that is called so is taken for it, whatever is in it.
    let existing = volumes.map(|volume| text(volume, "/name")).find(|name| name.starts_with(VOLUME)).map(str::to_owned);
    let name = existing.clone().unwrap_or_else(|| format!("{VOLUME}{}", suffix()));
    let mut mounted = false;
    for kind in ["containers", "initContainers"] {
        let containers = pod.pointer_mut(&format!("/spec/{kind}")).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            mounted |= mount_in(container, &name);
        }
    }
    if mounted
        && existing.is_none()
        && let Some(volumes) = list_mut(pod, "/spec", "volumes")
    {
        volumes.push(volume(&name));
    }
}

fn mount_in(container: &mut Value, name: &str) -> bool {
    let Some(mounts) = list_mut(container, "", "volumeMounts") else { return false };
    if mounts.iter().any(|mount| text(mount, "/mountPath") == MOUNT) {
        return false;
    }
    mounts.push(json!({"name": name, "readOnly": true, "mountPath": MOUNT}));
    true
}

fn volume(name: &str) -> Value {
    json!({"name": name, "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
    ]}})
}

fn suffix() -> String {
    let mut random = rand::rng();
    (0..5).map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())])).collect()
}
