//! Taints on the command line.

use k8s_openapi::api::core::v1::Taint;
use mainstay_api::names::{is_label_value, is_qualified_name};

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// `KEY=VALUE:EFFECT` or `KEY:EFFECT`. What the masters would refuse is refused here: nobody reads why a node does not come.
pub(super) fn parse(text: &str) -> Result<Taint, String> {
    let (name, effect) = text.rsplit_once(':').ok_or("wanted KEY=VALUE:EFFECT or KEY:EFFECT")?;
    if !EFFECTS.contains(&effect) {
        return Err(format!("unknown effect {effect:?}; there are: {}", EFFECTS.join(", ")));
    }
    let (key, value) = name.split_once('=').unwrap_or((name, ""));
    if let Some(wrong) = is_qualified_name(key).first() {
        return Err(format!("key {key:?}: {wrong}"));
    }
    if let Some(wrong) = is_label_value(value).first() {
        return Err(format!("value {value:?}: {wrong}"));
    }
    let value = (!value.is_empty()).then(|| value.to_owned());
    Ok(Taint { effect: effect.to_owned(), key: key.to_owned(), time_added: None, value })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_taint_has_a_key_and_an_effect() {
        let taint = parse("example.com/dedicated=web:NoSchedule").unwrap();
        let parts = (taint.key.as_str(), taint.value.as_deref(), taint.effect.as_str());
        assert_eq!(parts, ("example.com/dedicated", Some("web"), "NoSchedule"));
        assert_eq!(parse("spot:NoExecute").unwrap().value, None);
        for wrong in ["spot", "spot:Never", ":NoExecute", "=a:NoExecute", "a b:NoExecute", "a=b c:NoExecute"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
