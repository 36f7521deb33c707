//! Deployments, jobs and cron jobs in a few words.

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};

use super::super::selection;
use super::super::session::Session;

#[derive(Args)]
pub(super) struct DeploymentArgs {
    /// Its name
    name: String,
    /// The container's image; one more for each further container
    #[arg(long, required = true)]
    image: Vec<String>,
    /// Number of pods
    #[arg(long, short = 'r', default_value_t = 1)]
    replicas: u32,
    /// A port of the first container
    #[arg(long)]
    port: Option<u16>,
    /// The container's command
    #[arg(last = true)]
    command: Vec<String>,
}

#[derive(Args)]
pub(super) struct JobArgs {
    /// Its name
    name: String,
    /// The container's image
    #[arg(long)]
    image: Option<String>,
    /// What to take everything from: cronjob/NAME
    #[arg(long, value_name = "CRONJOB")]
    from: Option<String>,
    /// The container's command
    #[arg(last = true)]
    command: Vec<String>,
}

#[derive(Args)]
pub(super) struct CronJobArgs {
    /// Its name
    name: String,
    /// The container's image
    #[arg(long)]
    image: String,
    /// When: minute, hour, day of the month, month, day of the week
    #[arg(long)]
    schedule: String,
    /// `OnFailure` or `Never`
    #[arg(long, default_value = "OnFailure")]
    restart: String,
    /// The container's command
    #[arg(last = true)]
    command: Vec<String>,
}

impl DeploymentArgs {
    /// The deployment.
    pub(super) fn object(&self) -> Value {
        let name = &self.name;
        let mut containers: Vec<Value> =
            self.image.iter().map(|image| container(&container_name(image), image, &self.command)).collect();
        if let (Some(port), Some(first)) = (self.port, containers.first_mut()) {
            first["ports"] = json!([{"containerPort": port}]);
        }
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "labels": {"app": name}},
            "spec": {
                "replicas": self.replicas,
                "selector": {"matchLabels": {"app": name}},
                "strategy": {},
                "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": containers}},
            },
            "status": {},
        })
    }
}

impl JobArgs {
    /// The job.
    pub(super) async fn object(&self, session: &Session) -> Result<Value> {
        match (&self.image, &self.from) {
            (Some(image), None) => {
                let spec = pod_spec(&self.name, image, &self.command, "Never");
                Ok(json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": self.name},
                    "spec": {"template": {"metadata": {}, "spec": spec}}, "status": {}}))
            }
            (None, Some(_)) if !self.command.is_empty() => bail!("cannot specify --from and command"),
            (None, Some(from)) => self.of_cron_job(session, from).await,
            _ => bail!("either --image or --from must be specified"),
        }
    }

    async fn of_cron_job(&self, session: &Session, from: &str) -> Result<Value> {
        let (row, name) = selection::one(session, &[from.to_owned()]).await?;
        if row.kind != "CronJob" {
            bail!("unknown object type {}; a job comes from cronjob/NAME", row.kind);
        }
        Ok(instance(&self.name, &session.api(&row).get(&name, "").await?))
    }
}

/// A job that the cron job owns, as if its time had come.
fn instance(name: &str, cron_job: &Value) -> Value {
    let template = &cron_job["spec"]["jobTemplate"];
    let mut annotations = template["metadata"]["annotations"].clone();
    annotations["cronjob.kubernetes.io/instantiate"] = json!("manual");
    let owner = json!({"apiVersion": "batch/v1", "kind": "CronJob", "controller": true,
        "name": cron_job["metadata"]["name"], "uid": cron_job["metadata"]["uid"]});
    let mut metadata = json!({"name": name, "annotations": annotations, "ownerReferences": [owner]});
    if template["metadata"]["labels"].is_object() {
        metadata["labels"] = template["metadata"]["labels"].clone();
    }
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"], "status": {}})
}

impl CronJobArgs {
    /// The cron job.
    pub(super) fn object(&self) -> Value {
        let spec = pod_spec(&self.name, &self.image, &self.command, &self.restart);
        let job = json!({"metadata": {"name": self.name}, "spec": {"template": {"metadata": {}, "spec": spec}}});
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": self.name},
            "spec": {"schedule": self.schedule, "jobTemplate": job}, "status": {}})
    }
}

fn pod_spec(name: &str, image: &str, command: &[String], restart: &str) -> Value {
    json!({"containers": [container(name, image, command)], "restartPolicy": restart})
}

fn container(name: &str, image: &str, command: &[String]) -> Value {
    let mut container = json!({"name": name, "image": image, "resources": {}});
    if !command.is_empty() {
        container["command"] = json!(command);
    }
    container
}

/// An image's name without registry, tag and digest, and without what no container's name has.
fn container_name(image: &str) -> String {
    let name = image.rsplit('/').next().unwrap_or(image).split([':', '@']).next().unwrap_or(image);
    name.replace(['_', '.'], "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_called_like_their_images() {
        assert_eq!(container_name("nginx"), "nginx");
        assert_eq!(container_name("reg.io:5000/a/b@sha256:abc"), "b");
        assert_eq!(container_name("a/b:1"), "b");
        assert_eq!(container_name("a.b/c_d.e:1.2"), "c-d-e");
    }

    #[test]
    fn a_job_of_a_cron_job_is_owned_by_it() {
        let cron_job = json!({"metadata": {"name": "c", "uid": "1"}, "spec": {"jobTemplate": {
            "metadata": {"labels": {"a": "b"}}, "spec": {"parallelism": 2}}}});
        let job = instance("j", &cron_job);
        assert_eq!(job["metadata"]["annotations"], json!({"cronjob.kubernetes.io/instantiate": "manual"}));
        assert_eq!(job["metadata"]["labels"], json!({"a": "b"}));
        assert_eq!(job["metadata"]["ownerReferences"][0]["name"], "c");
        assert_eq!(job["spec"], json!({"parallelism": 2}));
    }
}
