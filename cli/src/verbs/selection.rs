//! Which objects a command line names: `pods`, `pods,svc`, `pod a b`, `pod/a deploy/b`, `all`.

use anyhow::{Result, bail};
use clap::Args;
use mainstay_api::resource::Resource;
use mainstay_client::{DynamicApi, ListParams};
use serde_json::Value;

use super::kinds;
use super::session::Session;

/// Objects of one kind: these, or all.
pub(crate) struct Selected {
    /// The kind.
    pub(crate) row: Resource,
    /// Names; empty for all.
    pub(crate) names: Vec<String>,
}

/// `--all` and `-l`: which objects of a kind are meant where none is named.
#[derive(Args)]
pub(crate) struct Unnamed {
    /// All objects of the type
    #[arg(long)]
    all: bool,
    /// Only with these labels
    #[arg(long, short = 'l', default_value = "", hide_default_value = true)]
    selector: String,
}

impl Unnamed {
    /// Refuses both at once, in the words of the verb.
    pub(crate) fn check(&self, refusal: &'static str) -> Result<()> {
        if self.all && !self.selector.is_empty() {
            bail!(refusal);
        }
        Ok(())
    }

    /// The objects with these names, or those that are meant if there are none; `missing` is said if nothing says which.
    pub(crate) async fn or_named(
        &self,
        api: &DynamicApi,
        names: &[String],
        missing: &'static str,
    ) -> Result<Vec<Value>> {
        if names.is_empty() {
            if !self.all && self.selector.is_empty() {
                bail!(missing);
            }
            return Ok(api.list(&ListParams::labels(self.selector.clone())).await?.items);
        }
        let mut objects = Vec::with_capacity(names.len());
        for name in names {
            objects.push(api.get(name, "").await?);
        }
        Ok(objects)
    }
}

/// Reads the words.
pub(crate) async fn parse(session: &Session, words: &[String]) -> Result<Vec<Selected>> {
    let Some(first) = words.first() else {
        bail!("say which resource, for example: pods, deployment/web, or svc web");
    };
    if words.iter().any(|word| word.contains('/')) {
        return by_slash(session, words).await;
    }
    let mut selected = Vec::new();
    for kind in first.split(',') {
        for row in kinds::find_all(session, kind).await? {
            selected.push(Selected { row, names: words[1..].to_vec() });
        }
    }
    Ok(selected)
}

/// The objects of a command that takes none without its name.
pub(crate) async fn named(session: &Session, words: &[String]) -> Result<Vec<(Resource, String)>> {
    let mut found = Vec::new();
    for Selected { row, names } in parse(session, words).await? {
        if names.is_empty() {
            bail!("say which {}", row.resource);
        }
        found.extend(names.into_iter().map(|name| (row.clone(), name)));
    }
    Ok(found)
}

/// Exactly one named object.
pub(crate) async fn one(session: &Session, words: &[String]) -> Result<(Resource, String)> {
    let mut selected = parse(session, words).await?;
    match (selected.len(), selected.pop()) {
        (1, Some(Selected { row, names })) if names.len() == 1 => {
            Ok((row, names.into_iter().next().unwrap_or_default()))
        }
        _ => bail!("say exactly one object, for example: deployment/web"),
    }
}

async fn by_slash(session: &Session, words: &[String]) -> Result<Vec<Selected>> {
    let mut selected: Vec<Selected> = Vec::new();
    for word in words {
        let Some((kind, name)) = word.split_once('/') else {
            bail!(
                "there is no need to specify a resource type as a separate argument when passing arguments in \
                 resource/name form (e.g. 'get resource/<resource_name>' instead of 'get resource resource/<resource_name>')"
            );
        };
        if kind.is_empty() || name.is_empty() || name.contains('/') {
            bail!("arguments in resource/name form must have a single resource and name");
        }
        let row = kinds::find(session, kind).await?;
        match selected.iter_mut().find(|s| s.row.resource == row.resource && s.row.group == row.group) {
            Some(known) => known.names.push(name.to_owned()),
            None => selected.push(Selected { row, names: vec![name.to_owned()] }),
        }
    }
    Ok(selected)
}
