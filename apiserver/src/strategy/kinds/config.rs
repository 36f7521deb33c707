//! ConfigMaps and Secrets.

mod tls;

use mainstay_api::field::Error;
use mainstay_api::names;
use serde_json::Value;

use crate::strategy::rules::{self, Rules};
use crate::strategy::validate::{At, Errors};
use crate::strategy::warnings::objects;

const SIZE_MAX: usize = 1024 * 1024;

/// ConfigMaps.
pub(crate) const CONFIG_MAP: Rules = Rules {
    check: |_, obj, errors| config_map(obj, errors),
    change: |_, new, old, errors| {
        frozen(new, old, &["immutable", "data", "binaryData"], errors);
    },
    parts: rules::CHANGE_FIRST,
    ..Rules::PLAIN
};

/// Secrets.
pub(crate) const SECRET: Rules = Rules {
    check: |_, obj, errors| secret(obj, errors),
    change: |_, new, old, errors| {
        let (kind, before) = (At::root(new).get("type"), At::root(old).get("type"));
        errors.immutable(&kind, &before);
        frozen(new, old, &["immutable", "data"], errors);
    },
    tidy: |_, obj| {
        merge_string_data(obj);
    },
    warn: |new, _| tls::warning(new).into_iter().collect(),
    parts: rules::CHANGE_FIRST,
    ..Rules::PLAIN
};

/// ServiceAccounts.
pub(crate) const SERVICE_ACCOUNT: Rules = Rules {
    tidy: |_, obj| name_secrets(obj),
    warn: objects::service_account,
    parts: rules::CHANGE_FIRST,
    ..Rules::PLAIN
};

/// Of the secrets of an account only the names are kept.
fn name_secrets(account: &mut Value) {
    let secrets = account.get_mut("secrets").and_then(Value::as_array_mut);
    for secret in secrets.into_iter().flatten().filter_map(Value::as_object_mut) {
        secret.retain(|field, _| field == "name");
    }
}

fn config_map(obj: &Value, errors: &mut Errors) {
    let root = At::root(obj);
    let (data, binary) = (root.get("data"), root.get("binaryData"));
    let mut size = 0;
    for (key, at) in data.entries() {
        key_errors(key, &at, errors);
        if binary.map().contains_key(key) {
            errors.0.push(Error::invalid(&at.path, key, "duplicate of key present in binaryData"));
        }
        size += at.str().len();
    }
    for (key, at) in binary.entries() {
        key_errors(key, &at, errors);
        size += decoded_len(at.str());
    }
    if size > SIZE_MAX {
        errors.0.push(Error::too_long(&mainstay_api::field::Path::new(""), 1_048_576));
    }
}

fn key_errors(key: &str, at: &At<'_>, errors: &mut Errors) {
    for text in names::is_config_map_key(key) {
        errors.0.push(Error::invalid(&at.path, key, text));
    }
}

/// How many bytes a base64 text stands for.
fn decoded_len(text: &str) -> usize {
    text.len() / 4 * 3 - text.bytes().rev().take_while(|byte| *byte == b'=').count().min(text.len() / 4 * 3)
}

/// Nothing of these may change once `immutable` is set.
fn frozen(new: &Value, old: &Value, fields: &[&str], errors: &mut Errors) {
    if old.get("immutable").and_then(Value::as_bool) != Some(true) {
        return;
    }
    const WHY: &str = "field is immutable when `immutable` is set";
    let (new, old) = (At::root(new), At::root(old));
    for field in fields {
        let (new, old) = (new.get(field), old.get(field));
        let changed = if *field == "immutable" { !new.bool() } else { new.map() != old.map() };
        if changed {
            errors.forbidden(&new, WHY);
        }
    }
}

/// `stringData` is a way to write `data`.
fn merge_string_data(obj: &mut Value) -> Option<()> {
    use base64::Engine as _;
    let strings = obj.as_object_mut()?.remove("stringData")?;
    let strings = strings.as_object()?.clone();
    if strings.is_empty() {
        return None;
    }
    let data = obj.as_object_mut()?.entry("data").or_insert_with(|| Value::Object(serde_json::Map::new()));
    if data.is_null() {
        *data = Value::Object(serde_json::Map::new());
    }
    let data = data.as_object_mut()?;
    for (key, value) in strings {
        let encoded = base64::engine::general_purpose::STANDARD.encode(value.as_str().unwrap_or_default());
        data.insert(key, encoded.into());
    }
    None
}

fn secret(obj: &Value, errors: &mut Errors) {
    let root = At::root(obj);
    let data = root.get("data");
    let mut size = 0;
    for (key, at) in data.entries() {
        key_errors(key, &at, errors);
        size += decoded_len(at.str());
    }
    if size > SIZE_MAX {
        errors.0.push(Error::too_long(&data.path, 1_048_576));
    }
    secret_type(&root, &data, errors);
}

fn secret_type(root: &At<'_>, data: &At<'_>, errors: &mut Errors) {
    match root.get("type").str() {
        "kubernetes.io/service-account-token" => {
            let annotations = root.get("metadata").get("annotations");
            let name = annotations.get("kubernetes.io/service-account.name");
            if name.str().is_empty() {
                errors.0.push(Error::required(&annotations.path.key("kubernetes.io/service-account.name"), ""));
            }
        }
        "kubernetes.io/dockercfg" => docker_json(data, ".dockercfg", errors),
        "kubernetes.io/dockerconfigjson" => docker_json(data, ".dockerconfigjson", errors),
        "kubernetes.io/basic-auth" if !data.map().contains_key("username") && !data.map().contains_key("password") => {
            errors.0.push(Error::required(&data.path.key("username"), ""));
            errors.0.push(Error::required(&data.path.key("password"), ""));
        }
        "kubernetes.io/ssh-auth" if data.get("ssh-privatekey").str().is_empty() => {
            errors.0.push(Error::required(&data.path.key("ssh-privatekey"), ""));
        }
        "kubernetes.io/tls" => {
            for key in ["tls.crt", "tls.key"] {
                if !data.map().contains_key(key) {
                    errors.0.push(Error::required(&data.path.key(key), ""));
                }
            }
        }
        _ => {}
    }
}

fn docker_json(data: &At<'_>, key: &str, errors: &mut Errors) {
    use base64::Engine as _;
    let path = data.path.key(key);
    let Some(encoded) = data.opt(key) else {
        errors.0.push(Error::required(&path, ""));
        return;
    };
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded.str()).unwrap_or_default();
    let read = mainstay_api::json::parse(&bytes).and_then(|config| match config {
        Value::Object(_) | Value::Null => Ok(()),
        other => {
            let kind = mainstay_api::json::type_name(&other);
            Err(format!("json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"))
        }
    });
    if let Err(why) = read {
        errors.0.push(Error::invalid(&path, "<secret contents redacted>", why));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_configuration_of_docker_is_a_map() {
        let judge = |encoded: &str| {
            let mut errors = Errors::default();
            secret(&json!({"type": "kubernetes.io/dockercfg", "data": {".dockercfg": encoded}}), &mut errors);
            errors.0.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert!(judge("e30=").is_empty());
        assert!(judge("bnVsbA==").is_empty());
        assert_eq!(
            judge("W10="),
            [
                r#"data[.dockercfg]: Invalid value: "<secret contents redacted>": json: cannot unmarshal array into Go value of type map[string]interface {}"#
            ]
        );
    }

    #[test]
    fn accounts_name_their_secrets_and_no_more() {
        let mut account = json!({"secrets": [{"name": "s", "kind": "Secret", "uid": "u"}, {"kind": "Secret"}]});
        name_secrets(&mut account);
        assert_eq!(account, json!({"secrets": [{"name": "s"}, {}]}));
        let mut none = json!({"secrets": null});
        name_secrets(&mut none);
        assert_eq!(none, json!({"secrets": null}));
    }
}
