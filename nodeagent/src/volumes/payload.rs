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
        let (items, optional) = (source.items.as_deref(), source.optional);
        let wanted = Wanted { name: &source.name, items, optional, mode: source.default_mode };
        return wanted.of_config_map(pod, sources);
    }
    if let Some(source) = &volume.secret {
        let name = source.secret_name.as_deref().unwrap_or("");
        let (items, optional) = (source.items.as_deref(), source.optional);
        return Wanted { name, items, optional, mode: source.default_mode }.of_secret(pod, sources);
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
        let wanted = Wanted { name: &s.name, items: s.items.as_deref(), optional: s.optional, mode: default };
        wanted.of_config_map(pod, sources)
    } else if let Some(s) = &source.secret {
        let wanted = Wanted { name: &s.name, items: s.items.as_deref(), optional: s.optional, mode: default };
        wanted.of_secret(pod, sources)
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

/// What a volume takes from a ConfigMap or a Secret.
struct Wanted<'v> {
    name: &'v str,
    items: Option<&'v [KeyToPath]>,
    optional: Option<bool>,
    /// Of files that have none of their own.
    mode: Option<i32>,
}

/// How errors tell of a kind of objects.
struct Words {
    kind: &'static str,
    no_key: &'static str,
}

const CONFIG_MAP: Words = Words { kind: "configmap", no_key: "configmap references non-existent config key" };
const SECRET: Words = Words { kind: "secret", no_key: "references non-existent secret key" };

impl Wanted<'_> {
    fn of_config_map(&self, pod: &Pod, sources: &Sources) -> Result<Files, String> {
        let data = sources.config_maps.get(self.name).map(|object| {
            let texts = object.data.iter().flatten().map(|(k, v)| (k.clone(), v.clone().into_bytes()));
            texts.chain(object.binary_data.iter().flatten().map(|(k, v)| (k.clone(), v.0.clone()))).collect()
        });
        self.files(data, &CONFIG_MAP, pod)
    }

    fn of_secret(&self, pod: &Pod, sources: &Sources) -> Result<Files, String> {
        let object = sources.secrets.get(self.name);
        let data = object.map(|object| object.data.iter().flatten().map(|(k, v)| (k.clone(), v.0.clone())).collect());
        self.files(data, &SECRET, pod)
    }

    /// All keys of an object, or those that `items` picks.
    fn files(&self, data: Option<BTreeMap<String, Vec<u8>>>, words: &Words, pod: &Pod) -> Result<Files, String> {
        let optional = self.optional == Some(true);
        let Some(data) = data else {
            return if optional { Ok(Files::new()) } else { Err(format!("{} {:?} not found", words.kind, self.name)) };
        };
        let Some(items) = self.items.filter(|i| !i.is_empty()) else {
            let plain = mode(None, self.mode);
            return Ok(data.into_iter().map(|(key, content)| (key, File { content, mode: plain })).collect());
        };
        let mut files = Files::new();
        for item in items {
            match data.get(&item.key) {
                Some(content) => {
                    let file = File { content: content.clone(), mode: mode(item.mode, self.mode) };
                    files.insert(item.path.clone(), file);
                }
                None if optional => {}
                None => return Err(format!("{}: {}/{}", words.no_key, namespace(pod), self.name)),
            }
        }
        Ok(files)
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(volume: serde_json::Value) -> Result<Vec<(String, u32)>, String> {
        let mut sources = Sources::default();
        let map = json!({"metadata": {"name": "m"}, "data": {"a": "1"}, "binaryData": {"b": "Mg=="}});
        sources.config_maps.insert("m".to_owned(), serde_json::from_value(map).unwrap());
        let secret = json!({"metadata": {"name": "s"}, "data": {"k": "Mw=="}});
        sources.secrets.insert("s".to_owned(), serde_json::from_value(secret).unwrap());
        let pod = serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "n"}})).unwrap();
        let volume: Volume = serde_json::from_value(volume).unwrap();
        let files = files(&volume, &pod, &sources, &Tokens::new())?;
        Ok(files.into_iter().map(|(path, file)| (path, file.mode)).collect())
    }

    #[test]
    fn all_keys_are_files_or_those_that_are_picked() {
        let all = of(json!({"name": "v", "configMap": {"name": "m", "defaultMode": 256}}));
        assert_eq!(all, Ok(vec![("a".to_owned(), 0o400), ("b".to_owned(), 0o400)]));
        let picked = json!([{"key": "k", "path": "x/y", "mode": 384}]);
        let one = of(json!({"name": "v", "secret": {"secretName": "s", "items": picked}}));
        assert_eq!(one, Ok(vec![("x/y".to_owned(), 0o600)]));
        let picked = json!([{"key": "a", "path": "x"}, {"key": "a", "path": "y"}]);
        let twice = of(json!({"name": "v", "configMap": {"name": "m", "items": picked}}));
        assert_eq!(twice, Ok(vec![("x".to_owned(), 0o644), ("y".to_owned(), 0o644)]));
    }

    #[test]
    fn what_is_missing_is_told_unless_it_may_be() {
        let no_map = of(json!({"name": "v", "configMap": {"name": "x"}}));
        assert_eq!(no_map, Err("configmap \"x\" not found".to_owned()));
        assert_eq!(of(json!({"name": "v", "configMap": {"name": "x", "optional": true}})), Ok(Vec::new()));
        let items = json!([{"key": "none", "path": "x"}]);
        let no_key = of(json!({"name": "v", "secret": {"secretName": "s", "items": items}}));
        assert_eq!(no_key, Err("references non-existent secret key: n/s".to_owned()));
    }
}
