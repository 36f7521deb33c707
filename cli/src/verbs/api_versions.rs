//! `mainstay api-versions`

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::Value;

use super::print;
use super::session::Common;

/// `mainstay api-versions`
#[derive(Args)]
pub(crate) struct ApiVersionsArgs {
    #[command(flatten)]
    common: Common,
}

/// Lists what the server serves.
pub(crate) async fn run(args: ApiVersionsArgs) -> Result<ExitCode> {
    let session = args.common.session()?;
    let mut documents: Vec<Value> = Vec::new();
    for path in ["/api", "/apis"] {
        let body = session.rest.get(path, &[("accept", "application/json")]).await?;
        documents.push(serde_json::from_slice(&body).context("the server sent something that is not JSON")?);
    }
    versions(&documents).iter().try_for_each(|version| print::line(version))?;
    Ok(ExitCode::SUCCESS)
}

/// The versions of the core group, and of the other groups.
fn versions(documents: &[Value]) -> Vec<String> {
    let mut versions: Vec<String> = Vec::new();
    for document in documents {
        let core = document["versions"].as_array().into_iter().flatten();
        let groups = document["groups"].as_array().into_iter().flatten();
        let others = groups.flat_map(|group| group["versions"].as_array().into_iter().flatten());
        let names = core.chain(others.map(|version| &version["groupVersion"]));
        versions.extend(names.filter_map(Value::as_str).map(str::to_owned));
    }
    versions.sort();
    versions
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_versions_are_listed_in_order() {
        let groups = json!({"groups": [{"versions": [{"groupVersion": "b/v2"}, {"groupVersion": "b/v1"}]}]});
        assert_eq!(versions(&[json!({"versions": ["v1"]}), groups]), ["b/v1", "b/v2", "v1"]);
    }
}
