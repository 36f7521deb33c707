use serde_json::json;

use super::*;
use crate::strategy::testing::Objects;

async fn admit(objects: Objects, group: &str, resource: &str, object: Value) -> Result<Value, String> {
    admit_with(Vec::new(), &objects, group, resource, object).await
}

/// The same with what users configured.
async fn admit_with(
    extensions: Vec<Box<dyn Plugin>>,
    objects: &Objects,
    group: &str,
    resource: &str,
    object: Value,
) -> Result<Value, String> {
    admit_and_note(extensions, objects, group, resource, object).await.0
}

/// The same, and what the audit log is told.
async fn admit_and_note(
    extensions: Vec<Box<dyn Plugin>>,
    objects: &Objects,
    group: &str,
    resource: &str,
    object: Value,
) -> (Result<Value, String>, Notes) {
    let row = Resource { group: group.into(), resource: resource.into(), namespaced: true, ..Resource::default() };
    let user = UserInfo { name: "u".into(), uid: String::new(), groups: Vec::new(), extra: Default::default() };
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let mut request = Attributes { name: &name, object: Some(object), ..testing::creation(&row, &user, objects) };
    let authorizer = Arc::new(Authorizer::new(Arc::new(Objects::default())));
    let config = Config { default_toleration_seconds: 300 };
    let chain = Chain::with_extensions(&config, &authorizer, extensions);
    let outcome = match chain.mutate(&mut request).await {
        Ok(()) => chain.validate(&mut request).await,
        refused => refused,
    };
    let object = request.object.unwrap_or_default();
    (outcome.map(|()| object).map_err(|status| status.message.into_owned()), request.notes)
}

fn world(more: Vec<(&'static str, &'static str, Value)>) -> Objects {
    let mut all = vec![
        ("", "namespaces", json!({"metadata": {"name": "n"}, "status": {"phase": "Active"}})),
        ("", "serviceaccounts", json!({"metadata": {"name": "default", "namespace": "n"}})),
    ];
    all.extend(more);
    Objects(all)
}

fn pod() -> Value {
    json!({"metadata": {"name": "a", "namespace": "n"}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
}

#[tokio::test]
async fn a_pod_gets_account_token_priority_and_tolerations() {
    let pod = admit(world(vec![]), "", "pods", pod()).await.expect("admitted");
    assert_eq!(pod["spec"]["serviceAccountName"], "default");
    assert_eq!(pod["spec"]["priority"], 0);
    assert_eq!(pod["spec"]["tolerations"][1]["key"], "node.kubernetes.io/unreachable");
    assert_eq!(pod["spec"]["volumes"][0]["name"], pod["spec"]["containers"][0]["volumeMounts"][0]["name"]);
}

#[tokio::test]
async fn namespaces_must_exist_and_live() {
    let refused = admit(Objects::default(), "", "configmaps", json!({"metadata": {"name": "a"}})).await;
    assert_eq!(refused, Err("namespaces \"n\" not found".to_owned()));
    let ending =
        Objects(vec![("", "namespaces", json!({"metadata": {"name": "n"}, "status": {"phase": "Terminating"}}))]);
    let refused = admit(ending, "", "configmaps", json!({"metadata": {"name": "a"}})).await;
    assert_eq!(
        refused,
        Err(
            "configmaps \"a\" is forbidden: unable to create new content in namespace n because it is being terminated"
                .to_owned()
        )
    );
}

#[tokio::test]
async fn limits_are_filled_in_and_held() {
    let range = |item: Value| {
        world(vec![(
            "",
            "limitranges",
            json!({"metadata": {"name": "l", "namespace": "n"}, "spec": {"limits": [item]}}),
        )])
    };
    let filled = admit(
        range(json!({"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "100m"}})),
        "",
        "pods",
        pod(),
    )
    .await
    .expect("admitted");
    assert_eq!(
        filled["spec"]["containers"][0]["resources"],
        json!({"limits": {"cpu": "1"}, "requests": {"cpu": "100m"}})
    );
    assert_eq!(
        filled["metadata"]["annotations"]["kubernetes.io/limit-ranger"],
        "LimitRanger plugin set: cpu request for container c; cpu limit for container c"
    );
    let mut greedy = pod();
    greedy["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": "2"}, "requests": {"cpu": "1"}});
    let refused = admit(range(json!({"type": "Container", "max": {"cpu": "1"}})), "", "pods", greedy).await;
    assert_eq!(
        refused,
        Err("pods \"a\" is forbidden: maximum cpu usage per Container is 1, but limit is 2".to_owned())
    );
}

#[tokio::test]
async fn quotas_are_held() {
    let quota =
        json!({"metadata": {"name": "q", "namespace": "n"}, "status": {"hard": {"pods": "2"}, "used": {"pods": "2"}}});
    let refused = admit(world(vec![("", "resourcequotas", quota)]), "", "pods", pod()).await;
    assert_eq!(
        refused,
        Err("pods \"a\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2".to_owned())
    );
}

#[tokio::test]
async fn pod_security_tells_the_audit_log() {
    let noted = async |label: &str, value: &str| {
        let mut labels = json!({});
        labels[format!("pod-security.kubernetes.io/{label}")] = value.into();
        let namespace = json!({"metadata": {"name": "n", "labels": labels}, "status": {"phase": "Active"}});
        let account = json!({"metadata": {"name": "default", "namespace": "n"}});
        let objects = Objects(vec![("", "namespaces", namespace), ("", "serviceaccounts", account)]);
        let (_, notes) = admit_and_note(Vec::new(), &objects, "", "pods", pod()).await;
        let told = |name: &str| notes.get(&format!("pod-security.kubernetes.io/{name}")).map(str::to_owned);
        (told("enforce-policy"), told("audit-violations"))
    };
    let privileged = Some("privileged:latest".to_owned());
    assert_eq!(noted("enforce-version", "v1.25").await, (privileged.clone(), None));
    let (enforced, violations) = noted("audit", "restricted").await;
    assert_eq!(enforced, privileged);
    assert!(violations.unwrap().starts_with("would violate PodSecurity \"restricted:latest\": "));
    let (enforced, violations) = noted("enforce", "baseline").await;
    assert_eq!((enforced.as_deref(), violations), (Some("baseline:latest"), None));
}

#[tokio::test]
async fn pod_security_says_what_is_wrong() {
    let mut objects = world(vec![]);
    objects.0[0].2["metadata"]["labels"] = json!({"pod-security.kubernetes.io/enforce": "baseline"});
    let mut host = pod();
    host["spec"]["hostNetwork"] = true.into();
    let refused = admit(objects, "", "pods", host).await;
    assert_eq!(
        refused,
        Err("pods \"a\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true)"
            .to_owned())
    );
}

/// Everything that fills in something of a pod or a claim.
fn generous() -> Objects {
    let limits = json!([{"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "100m"}}]);
    let toleration = json!({"key": "gpu", "operator": "Exists", "effect": "NoSchedule"});
    let mut objects = world(vec![
        ("", "limitranges", json!({"metadata": {"name": "l", "namespace": "n"}, "spec": {"limits": limits}})),
        (
            "scheduling.k8s.io",
            "priorityclasses",
            json!({"metadata": {"name": "high"}, "value": 7, "globalDefault": true, "preemptionPolicy": "Never"}),
        ),
        (
            "node.k8s.io",
            "runtimeclasses",
            json!({
                "metadata": {"name": "r"}, "overhead": {"podFixed": {"cpu": "10m"}},
                "scheduling": {"nodeSelector": {"a": "b"}, "tolerations": [toleration]},
            }),
        ),
        (
            "storage.k8s.io",
            "storageclasses",
            json!({"metadata": {"name": "fast", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}}),
        ),
    ]);
    objects.0[1].2["imagePullSecrets"] = json!([{"name": "pull"}]);
    objects
}

#[tokio::test]
async fn what_is_filled_in_stays_when_it_is_filled_in_again() {
    let mut pod = pod();
    pod["spec"]["runtimeClassName"] = "r".into();
    let claim = json!({"metadata": {"name": "a", "namespace": "n"}, "spec": {}});
    for (resource, object) in [("pods", pod), ("persistentvolumeclaims", claim)] {
        let once = admit(generous(), "", resource, object.clone()).await.unwrap();
        assert_ne!(once, object);
        assert_eq!(admit(generous(), "", resource, once.clone()).await, Ok(once));
    }
}

/// Adds a container, as a webhook may.
struct Sidecar;

#[async_trait]
impl Plugin for Sidecar {
    fn name(&self) -> &'static str {
        "Sidecar"
    }

    async fn mutate(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        let pod = request.object.as_mut().unwrap();
        let containers = pod["spec"]["containers"].as_array_mut().unwrap();
        if containers.len() == 1 {
            containers.push(json!({"name": "s", "image": "i"}));
            request.rounds.changed("Sidecar");
        }
        Ok(())
    }
}

#[tokio::test]
async fn what_users_add_gets_its_defaults_too() {
    let pod = admit_with(vec![Box::new(Sidecar)], &generous(), "", "pods", pod()).await.unwrap();
    let containers = &pod["spec"]["containers"];
    assert_eq!(containers[1]["volumeMounts"], containers[0]["volumeMounts"]);
    assert_eq!(containers[1]["resources"], json!({"limits": {"cpu": "1"}, "requests": {"cpu": "100m"}}));
    assert_eq!(pod["spec"]["volumes"].as_array().unwrap().len(), 1);
    assert_eq!(
        pod["metadata"]["annotations"]["kubernetes.io/limit-ranger"],
        "LimitRanger plugin set: cpu request for container s; cpu limit for container s"
    );
}
