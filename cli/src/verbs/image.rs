//! `mainstay set image`

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use mainstay_client::Patch;
use serde_json::{Value, json};

use super::print;
use super::selection;
use super::session::Common;

/// `mainstay set`
#[derive(Args)]
pub(crate) struct SetArgs {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Set containers' images, which rolls the pods
    Image {
        /// What, and then CONTAINER=IMAGE; `*` stands for all containers
        #[arg(required = true, value_name = "TYPE NAME CONTAINER=IMAGE…")]
        words: Vec<String>,
    },
}

/// Where a pod's specification is in an object of each kind that has one.
const PLACES: [&str; 3] = ["/spec/template/spec", "/spec/jobTemplate/spec/template/spec", "/spec"];
const LISTS: [&str; 2] = ["initContainers", "containers"];

/// Sets images.
pub(crate) async fn run(args: SetArgs) -> Result<ExitCode> {
    let What::Image { words } = args.what;
    let (images, what): (Vec<String>, Vec<String>) = words.into_iter().partition(|word| word.contains('='));
    if images.is_empty() {
        bail!("at least one image update is required: CONTAINER=IMAGE");
    }
    let session = args.common.session()?;
    for (row, name) in selection::named(&session, &what).await? {
        let api = session.api(&row);
        let object = api.get(&name, "").await?;
        let Some(patch) = changes(&object, &images)? else { continue };
        api.patch(&name, "", &Patch::Strategic(patch)).await?;
        print::line(&format!("{} image updated", print::kind_name(&row, &name)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The patch that sets these images; `None` if they are set already.
fn changes(object: &Value, images: &[String]) -> Result<Option<Value>> {
    let place =
        PLACES.into_iter().find(|place| object.pointer(place).is_some_and(|spec| spec["containers"].is_array()));
    let Some(place) = place else { bail!("it has no pod template, and so no images") };
    let mut spec = json!({});
    for image in images {
        let Some((container, image)) = image.split_once('=') else { continue };
        let mut found = false;
        for list in LISTS {
            for known in object.pointer(place).and_then(|spec| spec[list].as_array()).into_iter().flatten() {
                let here = container == "*" || known["name"] == container;
                found |= here;
                if here && known["image"] != image {
                    push(&mut spec, list, json!({"name": known["name"], "image": image}));
                }
            }
        }
        if !found {
            bail!("unable to find container named {container:?}");
        }
    }
    let unchanged = spec.as_object().is_none_or(serde_json::Map::is_empty);
    Ok((!unchanged).then(|| at(place, spec)))
}

fn push(spec: &mut Value, list: &str, entry: Value) {
    match spec[list].as_array_mut() {
        Some(entries) => entries.push(entry),
        None => spec[list] = json!([entry]),
    }
}

/// Puts a value where a JSON pointer leads.
fn at(place: &str, value: Value) -> Value {
    place.rsplit('/').filter(|part| !part.is_empty()).fold(value, |inner, part| json!({part: inner}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment() -> Value {
        json!({"spec": {"template": {"spec": {"containers": [
            {"name": "a", "image": "x:1"}, {"name": "b", "image": "x:2"}]}}}})
    }

    #[test]
    fn only_what_differs_is_patched() {
        let patch = changes(&deployment(), &["*=x:2".into()]).unwrap().unwrap();
        assert_eq!(patch, json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "x:2"}]}}}}));
        assert!(changes(&deployment(), &["b=x:2".into()]).unwrap().is_none());
    }

    #[test]
    fn an_unknown_container_is_named() {
        let error = changes(&deployment(), &["c=x".into()]).unwrap_err().to_string();
        assert_eq!(error, "unable to find container named \"c\"");
        assert!(changes(&json!({"spec": {}}), &["c=x".into()]).is_err());
    }
}
