use serde_json::json;

use super::*;
use crate::strategy::testing::Objects;

async fn admit(objects: Objects, group: &str, resource: &str, object: Value) -> Result<Value, String> {
    let row = Resource { group: group.into(), resource: resource.into(), namespaced: true, ..Resource::default() };
    let user = UserInfo { name: "u".into(), uid: String::new(), groups: Vec::new(), extra: Default::default() };
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let mut request = Attributes {
        operation: Operation::Create,
        resource: &row,
        subresource: "",
        namespace: "n",
        name: &name,
        user: &user,
        object: Some(object),
        old_object: None,
        options: Value::Null,
        dry_run: false,
        side: Vec::new(),
        warnings: Vec::new(),
        reader: &objects,
        now: Timestamp::UNIX_EPOCH,
    };
    let authorizer = Arc::new(Authorizer::new(Arc::new(Objects::default())));
    let chain = Chain::default_plugins(&Config { default_toleration_seconds: 300 }, &authorizer);
    chain.mutate(&mut request).await.map_err(|status| status.message.into_owned())?;
    chain.validate(&mut request).await.map_err(|status| status.message.into_owned())?;
    Ok(request.object.unwrap_or_default())
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
