//! What files a volume holds, from the objects it refers to.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Container, DownwardAPIVolumeFile, KeyToPath, Pod, ServiceAccountTokenProjection, Volume, VolumeProjection,
};

use super::atomic::{File, Files};
use crate::pod::fields;
use crate::sources::Sources;

const DEFAULT_MODE: u32 = 0o644;

/// Audience and lifetime in seconds of a token that a volume wants.
pub(crate) type TokenKey = (String, i64);
/// The tokens that were obtained for a pod.
pub(crate) type Tokens = BTreeMap<TokenKey, String>;

/// The tokens that a pod's volumes want.
pub(crate) fn token_requests(pod: &Pod) -> Vec<TokenKey> {
    let volumes = pod.spec.iter().flat_map(|s| s.volumes.iter().flatten());
    let sources = volumes.filter_map(|v| v.projected.as_ref()).flat_map(|p| p.sources.iter().flatten());
    let mut keys: Vec<_> = sources.filter_map(|s| s.service_account_token.as_ref()).map(token_key).collect();
    keys.sort();
    keys.dedup();
    keys
}

fn token_key(source: &ServiceAccountTokenProjection) -> TokenKey {
    (source.audience.clone().unwrap_or_default(), source.expiration_seconds.unwrap_or(3600))
}

/// Permission bits from the API's decimal.
fn mode(own: Option<i32>, default: Option<i32>) -> u32 {
    own.or(default).and_then(|m| u32::try_from(m).ok()).unwrap_or(DEFAULT_MODE)
}

pub(super) fn files(volume: &Volume, pod: &Pod, sources: &Sources, tokens: &Tokens) -> Result<Files, String> {
    if let Some(source) = &volume.config_map {
        return config_map(&source.name, source.items.as_deref(), source.optional, source.default_mode, pod, sources);
    }
    if let Some(source) = &volume.secret {
        let name = source.secret_name.as_deref().unwrap_or("");
        return secret(name, source.items.as_deref(), source.optional, source.default_mode, pod, sources);
    }
    if let Some(source) = &volume.downward_api {
        return downward(source.items.as_deref().unwrap_or(&[]), source.default_mode, pod);
    }
    let Some(projected) = &volume.projected else {
        return Err("this kind of volume is not supported".into());
    };
    let mut all = Files::new();
    for source in projected.sources.iter().flatten() {
        all.extend(projection(source, projected.default_mode, pod, sources, tokens)?);
    }
    Ok(all)
}

fn projection(
    source: &VolumeProjection,
    default: Option<i32>,
    pod: &Pod,
    sources: &Sources,
    tokens: &Tokens,
) -> Result<Files, String> {
    if let Some(s) = &source.config_map {
        config_map(&s.name, s.items.as_deref(), s.optional, default, pod, sources)
    } else if let Some(s) = &source.secret {
        secret(&s.name, s.items.as_deref(), s.optional, default, pod, sources)
    } else if let Some(s) = &source.downward_api {
        downward(s.items.as_deref().unwrap_or(&[]), default, pod)
    } else if let Some(s) = &source.service_account_token {
        let token = tokens.get(&token_key(s)).ok_or("failed to fetch token")?;
        let file = File { content: token.clone().into_bytes(), mode: mode(None, default) };
        Ok(Files::from([(s.path.clone(), file)]))
    } else {
        Err("this kind of projection is not supported".into())
    }
}

fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or("")
}

fn config_map(
    name: &str,
    items: Option<&[KeyToPath]>,
    optional: Option<bool>,
    default: Option<i32>,
    pod: &Pod,
    sources: &Sources,
) -> Result<Files, String> {
    let optional = optional == Some(true);
    let Some(object) = sources.config_maps.get(name) else {
        return if optional { Ok(Files::new()) } else { Err(format!("configmap {name:?} not found")) };
    };
    let mut data = BTreeMap::<String, Vec<u8>>::new();
    data.extend(object.data.iter().flatten().map(|(k, v)| (k.clone(), v.clone().into_bytes())));
    data.extend(object.binary_data.iter().flatten().map(|(k, v)| (k.clone(), v.0.clone())));
    chosen(data, items, optional, default, || {
        format!("configmap references non-existent config key: {}/{name}", namespace(pod))
    })
}

fn secret(
    name: &str,
    items: Option<&[KeyToPath]>,
    optional: Option<bool>,
    default: Option<i32>,
    pod: &Pod,
    sources: &Sources,
) -> Result<Files, String> {
    let optional = optional == Some(true);
    let Some(object) = sources.secrets.get(name) else {
        return if optional { Ok(Files::new()) } else { Err(format!("secret {name:?} not found")) };
    };
    let data = object.data.iter().flatten().map(|(k, v)| (k.clone(), v.0.clone())).collect();
    chosen(data, items, optional, default, || format!("references non-existent secret key: {}/{name}", namespace(pod)))
}

/// All keys, or those that `items` picks.
fn chosen(
    mut data: BTreeMap<String, Vec<u8>>,
    items: Option<&[KeyToPath]>,
    optional: bool,
    default: Option<i32>,
    missing: impl Fn() -> String,
) -> Result<Files, String> {
    let Some(items) = items.filter(|i| !i.is_empty()) else {
        let plain = mode(None, default);
        return Ok(data.into_iter().map(|(key, content)| (key, File { content, mode: plain })).collect());
    };
    let mut files = Files::new();
    for item in items {
        match data.remove(&item.key) {
            Some(content) => {
                files.insert(item.path.clone(), File { content, mode: mode(item.mode, default) });
            }
            None if optional => {}
            None => return Err(missing()),
        }
    }
    Ok(files)
}

fn downward(items: &[DownwardAPIVolumeFile], default: Option<i32>, pod: &Pod) -> Result<Files, String> {
    let mut files = Files::new();
    for item in items {
        let text = if let Some(field) = &item.field_ref {
            fields::field(pod, &field.field_path)?
        } else if let Some(resource) = &item.resource_field_ref {
            fields::resource(pod, &Container::default(), resource)?
        } else {
            continue;
        };
        files.insert(item.path.clone(), File { content: text.into_bytes(), mode: mode(item.mode, default) });
    }
    Ok(files)
}
