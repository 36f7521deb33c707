//! `mainstay run`

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Map, Value, json};

use super::create;
use super::dry_run::DryRunArgs;
use super::output::Output;
use super::session::Common;

/// `mainstay run`
#[derive(Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    common: Common,
    /// The pod's name
    name: String,
    /// The container's image
    #[arg(long)]
    image: String,
    /// A port of the container
    #[arg(long)]
    port: Option<u16>,
    /// A variable of the container: KEY=VALUE
    #[arg(long)]
    env: Vec<String>,
    /// The pod's labels: a=b,c=d; run=NAME if not given
    #[arg(long, short = 'l', value_delimiter = ',')]
    labels: Vec<String>,
    /// The pod's annotations: KEY=VALUE
    #[arg(long)]
    annotations: Vec<String>,
    /// `Always`, `OnFailure` or `Never`
    #[arg(long, default_value = "Always")]
    restart: String,
    /// When to fetch the image: `Always`, `IfNotPresent` or `Never`
    #[arg(long, default_value = "", hide_default_value = true)]
    image_pull_policy: String,
    /// What follows is the command, not its arguments
    #[arg(long)]
    command: bool,
    #[command(flatten)]
    dry_run: DryRunArgs,
    #[command(flatten)]
    output: Output,
    /// Arguments of the container, or its command
    #[arg(last = true)]
    words: Vec<String>,
}

/// Makes a pod.
pub(crate) async fn run(args: RunArgs) -> Result<ExitCode> {
    let (form, dry_run) = (args.output.form()?, args.dry_run.how()?);
    let pod = args.pod()?;
    let session = args.common.session()?;
    create::described(&session, form, dry_run, pod).await?;
    Ok(ExitCode::SUCCESS)
}

impl RunArgs {
    fn pod(&self) -> Result<Value> {
        if !matches!(self.restart.as_str(), "Always" | "OnFailure" | "Never") {
            bail!("invalid restart policy: {}, valid values are: Always, OnFailure, Never", self.restart);
        }
        let policy = self.image_pull_policy.as_str();
        if !matches!(policy, "" | "Always" | "IfNotPresent" | "Never") {
            bail!("invalid image pull policy: {policy}, valid values are: Always, IfNotPresent, Never");
        }
        let mut labels = pairs(&self.labels, "unexpected label spec")?;
        if labels.is_empty() {
            labels.insert("run".to_owned(), self.name.as_str().into());
        }
        let mut metadata = json!({"name": self.name, "labels": labels});
        if !self.annotations.is_empty() {
            metadata["annotations"] = pairs(&self.annotations, "invalid annotations format")?.into();
        }
        let spec =
            json!({"containers": [self.container()?], "dnsPolicy": "ClusterFirst", "restartPolicy": self.restart});
        Ok(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {}}))
    }

    fn container(&self) -> Result<Value> {
        let mut container = json!({"name": self.name, "image": self.image, "resources": {}});
        if let Some(port) = self.port {
            container["ports"] = json!([{"containerPort": port}]);
        }
        let mut variables = Vec::new();
        for variable in &self.env {
            let (name, value) = variable.split_once('=').with_context(|| format!("invalid env: {variable}"))?;
            variables.push(json!({"name": name, "value": value}));
        }
        if !variables.is_empty() {
            container["env"] = variables.into();
        }
        if !self.image_pull_policy.is_empty() {
            container["imagePullPolicy"] = json!(self.image_pull_policy);
        }
        if !self.words.is_empty() {
            container[if self.command { "command" } else { "args" }] = json!(self.words);
        }
        Ok(container)
    }
}

/// `wrong` is said of a word that is no pair.
fn pairs(words: &[String], wrong: &str) -> Result<Map<String, Value>> {
    let pair = |word: &String| {
        let pair = word.split_once('=').with_context(|| format!("{wrong}: {word}"))?;
        Ok((pair.0.to_owned(), Value::from(pair.1)))
    };
    words.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Words {
        #[command(flatten)]
        run: RunArgs,
    }

    fn pod(words: &[&str]) -> Result<Value> {
        Words::try_parse_from([&["run", "x", "--image=i"][..], words].concat()).unwrap().run.pod()
    }

    #[test]
    fn a_pod_of_one_container_is_made() {
        let made = pod(&["--port=80", "--env=A=b=c", "--", "ls", "-l"]).unwrap();
        assert_eq!(made["metadata"], json!({"name": "x", "labels": {"run": "x"}}));
        let container = json!({"name": "x", "image": "i", "resources": {}, "ports": [{"containerPort": 80}],
            "env": [{"name": "A", "value": "b=c"}], "args": ["ls", "-l"]});
        assert_eq!(made["spec"]["containers"], json!([container]));
        let made = pod(&["--labels=a=b,c=d", "--command", "--", "ls"]).unwrap();
        assert_eq!(made["metadata"]["labels"], json!({"a": "b", "c": "d"}));
        assert_eq!(made["spec"]["containers"][0]["command"], json!(["ls"]));
        let told = |word: &str| pod(&[word]).unwrap_err().to_string();
        let restart = "invalid restart policy: Seldom, valid values are: Always, OnFailure, Never";
        assert_eq!(told("--restart=Seldom"), restart);
        let pull = "invalid image pull policy: Seldom, valid values are: Always, IfNotPresent, Never";
        assert_eq!(told("--image-pull-policy=Seldom"), pull);
        assert_eq!(told("--env=A"), "invalid env: A");
        assert_eq!(told("--labels=a"), "unexpected label spec: a");
        assert_eq!(told("--annotations=a"), "invalid annotations format: a");
    }
}
