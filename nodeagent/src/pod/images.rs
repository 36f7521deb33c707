//! Images: when to pull, with whose credentials, and how long to wait after a failure.

use std::time::Instant;

use base64::Engine as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};
use mainstay_client::EventType;
use mainstay_proto::cri::AuthConfig;

use super::Shared;
use crate::identity::identity;
use crate::plan::Waiting;
use crate::sources::Sources;

/// `Always` for `:latest` or no tag, else `IfNotPresent`.
fn policy(container: &Container) -> &str {
    let image = container.image.as_deref().unwrap_or("");
    let last = image.rsplit('/').next().unwrap_or(image);
    let floating = !image.contains('@') && last.rsplit_once(':').is_none_or(|(_, tag)| tag == "latest");
    let default = if floating { "Always" } else { "IfNotPresent" };
    container.image_pull_policy.as_deref().unwrap_or(default)
}

/// The runtime's reference to the image of a container, pulled if need be; or why the container waits.
pub(super) async fn ensure(
    shared: &Shared,
    pod: &Pod,
    container: &Container,
    sources: &Sources,
) -> Result<String, Waiting> {
    let image = container.image.as_deref().unwrap_or("");
    let policy = policy(container);
    let down =
        |error: crate::runtime::RuntimeError| Waiting { reason: "ImageInspectError", message: error.to_string() };
    let present = shared.runtime.image(image).await.map_err(down)?;
    match present {
        Some(found) if policy != "Always" => {
            let text = format!("Container image {image:?} already present on machine");
            shared.event(pod, Some(&container.name), EventType::Normal, "Pulled", text);
            Ok(found.id)
        }
        None if policy == "Never" => {
            let message = format!("Container image {image:?} is not present with pull policy of Never");
            shared.event(pod, Some(&container.name), EventType::Warning, "ErrImageNeverPull", message.clone());
            Err(Waiting { reason: "ErrImageNeverPull", message })
        }
        _ => pull(shared, pod, container, sources).await,
    }
}

async fn pull(shared: &Shared, pod: &Pod, container: &Container, sources: &Sources) -> Result<String, Waiting> {
    let image = container.image.as_deref().unwrap_or("");
    let key = format!("{}/{image}", identity(pod).uid);
    let now = Timestamp::now();
    let name = Some(container.name.as_str());
    if waits(shared, &key, now) {
        let message = format!("Back-off pulling image {image:?}");
        shared.event(pod, name, EventType::Normal, "BackOff", message.clone());
        return Err(Waiting { reason: "ImagePullBackOff", message });
    }
    shared.event(pod, name, EventType::Normal, "Pulling", format!("Pulling image {image:?}"));
    let began = Instant::now();
    match shared.runtime.pull(image, credentials(pod, image, sources)).await {
        Ok(_) => {
            shared.pulls.lock().reset(&key);
            let found = shared.runtime.image(image).await.ok().flatten().unwrap_or_default();
            let took = round(began.elapsed());
            let text = format!(
                "Successfully pulled image {image:?} in {took} ({took} including waiting). Image size: {} bytes.",
                found.size
            );
            shared.event(pod, name, EventType::Normal, "Pulled", text);
            Ok(if found.id.is_empty() { image.to_owned() } else { found.id })
        }
        Err(error) => {
            shared.pulls.lock().advance(&key, Timestamp::now());
            let message = format!("Failed to pull image {image:?}: {error}");
            shared.event(pod, name, EventType::Warning, "Failed", message.clone());
            Err(Waiting { reason: "ErrImagePull", message })
        }
    }
}

fn waits(shared: &Shared, key: &str, now: Timestamp) -> bool {
    shared.pulls.lock().since_last(key, now).is_some()
}

/// As Go prints durations, to the millisecond.
fn round(duration: std::time::Duration) -> String {
    match duration.as_millis() {
        ms @ 0..1000 => format!("{ms}ms"),
        ms => format!("{}s", ms as f64 / 1000.0),
    }
}

/// From the pod's pull secrets, those for the image's registry.
fn credentials(pod: &Pod, image: &str, sources: &Sources) -> Option<AuthConfig> {
    let host = registry(image);
    let names = pod.spec.iter().flat_map(|s| s.image_pull_secrets.iter().flatten());
    names.filter_map(|n| sources.secrets.get(&n.name)).find_map(|secret| {
        let raw = secret.data.as_ref()?.get(".dockerconfigjson")?;
        let config: serde_json::Value = serde_json::from_slice(&raw.0).ok()?;
        let auths = config.get("auths")?.as_object()?;
        let (_, auth) = auths.iter().find(|(server, _)| bare(server) == host)?;
        auth_config(auth)
    })
}

fn auth_config(auth: &serde_json::Value) -> Option<AuthConfig> {
    let text = |key: &str| auth[key].as_str().unwrap_or_default().to_owned();
    let (username, password) = match auth["auth"].as_str() {
        Some(packed) => {
            let plain = base64::engine::general_purpose::STANDARD.decode(packed).ok()?;
            let plain = String::from_utf8(plain).ok()?;
            let (user, password) = plain.split_once(':')?;
            (user.to_owned(), password.to_owned())
        }
        None => (text("username"), text("password")),
    };
    Some(AuthConfig { username, password, identity_token: text("identitytoken"), ..AuthConfig::default() })
}

fn bare(server: &str) -> &str {
    let server = server.trim_start_matches("https://").trim_start_matches("http://");
    match server.split('/').next().unwrap_or(server) {
        "index.docker.io" => "docker.io",
        host => host,
    }
}

fn registry(image: &str) -> &str {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => "docker.io",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_follows_the_tag() {
        let of = |image: &str| policy(&Container { image: Some(image.into()), ..Container::default() }).to_owned();
        assert_eq!(of("a"), "Always");
        assert_eq!(of("host:5000/a"), "Always");
        assert_eq!(of("a:latest"), "Always");
        assert_eq!(of("host:5000/a:1"), "IfNotPresent");
        assert_eq!(of("a@sha256:0"), "IfNotPresent");
    }
}
