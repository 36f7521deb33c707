//! Bearer tokens: of OpenID Connect issuers, and for bootstrapping.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use jiff::Timestamp;
use mainstay_apiserver::authn::OidcConfig;
use mainstay_apiserver::pki::ServiceAccountKey;
use serde_json::{Value, json};

use crate::https::{Client, Documents};
use crate::support::{Cluster, cluster, eventually, send};

const WHO_AM_I: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

/// Who the server takes the client for, or the code of its refusal.
async fn who(client: &Client) -> Result<Value, u16> {
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let answer = client.send(Method::POST, WHO_AM_I, &body).await;
    if answer.code == 201 { Ok(answer.json()["status"]["userInfo"].clone()) } else { Err(answer.code) }
}

/// An issuer, and what it has signed with.
struct Issuer {
    server: Documents,
    url: String,
}

impl Issuer {
    async fn start(key: &ServiceAccountKey) -> Self {
        let server = Documents::serve().await;
        let url = format!("https://{}/realm", server.address);
        let issuer = Self { server, url };
        let keys = format!("https://{}/keys", issuer.server.address);
        issuer.server.set("/realm/.well-known/openid-configuration", json!({"issuer": issuer.url, "jwks_uri": keys}));
        issuer.publish(key);
        issuer
    }

    fn publish(&self, key: &ServiceAccountKey) {
        self.server.set("/keys", json!({"keys": [key.public_jwk().unwrap()]}));
    }

    fn config(&self) -> OidcConfig {
        OidcConfig {
            issuer_url: self.url.clone(),
            discovery_url: None,
            audiences: vec!["mainstay".into()],
            username_claim: "sub".into(),
            username_prefix: "corp:".into(),
            groups_claim: "roles".into(),
            groups_prefix: "corp:".into(),
            uid_claim: String::new(),
            ca_pem: Some(self.server.ca_pem.clone()),
            required_claims: BTreeMap::from([("hd".to_owned(), "example.org".to_owned())]),
            signing_algs: OidcConfig::algorithms(&["RS256".to_owned()]).unwrap(),
        }
    }

    /// The claims of a good token, with changes.
    fn claims(&self, changes: Value) -> Value {
        let now = Timestamp::now().as_second();
        let mut claims = json!({
            "iss": self.url, "aud": ["other", "mainstay"], "sub": "jane", "roles": ["dev", "ops"],
            "exp": now + 600, "iat": now, "jti": "t1", "hd": "example.org",
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_an_issuer_name_users_and_groups() {
    let dir = tempfile::tempdir().unwrap();
    let key = ServiceAccountKey::create().unwrap();
    mainstay_apiserver::pki::install_provider();
    let issuer = Issuer::start(&key).await;
    let config = issuer.config();
    let cluster = Cluster::with(dir.path(), |server| server.security.oidc = vec![config]).await.unwrap();
    cluster.server.bootstrap(&[]).await.unwrap();
    let client = cluster.listen().await;
    let token = |changes: Value| client.clone().token(&key.sign(&issuer.claims(changes)).unwrap());

    let jane = token(json!({}));
    eventually("the issuer's keys are known", async || who(&jane).await.is_ok()).await;
    let user = who(&jane).await.unwrap();
    assert_eq!(user["username"], "corp:jane");
    assert_eq!(user["groups"], json!(["corp:dev", "corp:ops", "system:authenticated"]));
    assert_eq!(user["extra"]["authentication.kubernetes.io/credential-id"], json!(["JTI=t1"]));

    let past = Timestamp::now().as_second() - 1;
    let wrong = [
        json!({"exp": past}),
        json!({"aud": "other"}),
        json!({"hd": "example.com"}),
        json!({"nbf": past + 1000}),
        json!({"sub": null}),
        json!({"iss": "https://elsewhere"}),
    ];
    for changes in wrong {
        assert_eq!(who(&token(changes.clone())).await, Err(401), "{changes}");
    }
    let stranger = ServiceAccountKey::create().unwrap();
    let forged = client.clone().token(&stranger.sign(&issuer.claims(json!({}))).unwrap());
    assert_eq!(who(&forged).await, Err(401));

    // Rights by group, as RBAC grants them.
    assert_eq!(jane.get("/api/v1/namespaces").await.code, 403);
    let binding = json!({
        "metadata": {"name": "ops"},
        "subjects": [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "corp:ops"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
    });
    let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    assert_eq!(send(&mut cluster.admin(), Method::POST, bindings, &binding).await.0, 201);
    assert_eq!(jane.get("/api/v1/pods").await.code, 200);

    // A review of the token says the same.
    let review = json!({"spec": {"token": key.sign(&issuer.claims(json!({}))).unwrap()}});
    let (_, review) =
        send(&mut cluster.admin(), Method::POST, "/apis/authentication.k8s.io/v1/tokenreviews", &review).await;
    assert_eq!(review["status"]["user"]["username"], "corp:jane", "{review}");

    // The issuer changes its key.
    let next = ServiceAccountKey::create().unwrap();
    issuer.publish(&next);
    let later = client.clone().token(&next.sign(&issuer.claims(json!({}))).unwrap());
    eventually("the new key is known", async || who(&later).await.is_ok()).await;
    assert_eq!(who(&jane).await, Err(401), "the old key is no longer one of the issuer's");
    let asked = issuer.server.asked();
    for _ in 0..20 {
        assert_eq!(who(&forged).await, Err(401));
    }
    assert!(issuer.server.asked() <= asked + 4, "strangers do not make the server ask the issuer");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_that_is_away_keeps_nobody_else_out() {
    let dir = tempfile::tempdir().unwrap();
    let key = ServiceAccountKey::create().unwrap();
    mainstay_apiserver::pki::install_provider();
    let issuer = Issuer::start(&key).await;
    let mut config = issuer.config();
    config.issuer_url = "https://127.0.0.1:1/".into();
    let cluster = Cluster::with(dir.path(), |server| server.security.oidc = vec![config]).await.unwrap();
    cluster.server.bootstrap(&[]).await.unwrap();
    let client = cluster.listen().await;
    let claims = issuer.claims(json!({"iss": "https://127.0.0.1:1/"}));
    assert_eq!(who(&client.clone().token(&key.sign(&claims).unwrap())).await, Err(401));
    let admin = client.token(&cluster.admin_token);
    assert_eq!(who(&admin).await.unwrap()["username"], "admin");
    cluster.stop().await;
}

fn bootstrap_token(id: &str, changes: &[(&str, &str)]) -> Value {
    let mut fields = BTreeMap::from([
        ("token-id", id),
        ("token-secret", "0123456789abcdef"),
        ("usage-bootstrap-authentication", "true"),
        ("auth-extra-groups", "system:bootstrappers:workers,system:bootstrappers:new"),
    ]);
    fields.extend(changes.iter().copied());
    let data: BTreeMap<&str, String> = fields.into_iter().map(|(name, value)| (name, STANDARD.encode(value))).collect();
    json!({
        "metadata": {"name": format!("bootstrap-token-{id}"), "namespace": "kube-system"},
        "type": "bootstrap.kubernetes.io/token",
        "data": data,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bootstrap_tokens_are_good_for_what_their_secret_says() {
    let (cluster, _dir) = cluster().await;
    let client = cluster.listen().await;
    let (past, future) = ((Timestamp::now() - Duration::from_secs(5)).to_string(), "2100-01-01T00:00:00Z");
    let secrets = "/api/v1/namespaces/kube-system/secrets";
    let tokens: [(&str, &[(&str, &str)]); 5] = [
        ("good00", &[("expiration", future)]),
        ("past00", &[("expiration", &past)]),
        ("unfit0", &[("usage-bootstrap-authentication", "false")]),
        ("groups", &[("auth-extra-groups", "system:masters")]),
        ("when00", &[("expiration", "tomorrow")]),
    ];
    for (id, changes) in tokens {
        let (code, said) = send(&mut cluster.admin(), Method::POST, secrets, &bootstrap_token(id, changes)).await;
        assert_eq!(code, 201, "{said}");
    }
    let with = |id: &str, secret: &str| client.clone().token(&format!("{id}.{secret}"));
    let user = who(&with("good00", "0123456789abcdef")).await.unwrap();
    assert_eq!(user["username"], "system:bootstrap:good00");
    let groups =
        ["system:bootstrappers", "system:bootstrappers:new", "system:bootstrappers:workers", "system:authenticated"];
    assert_eq!(user["groups"], json!(groups));
    assert_eq!(who(&with("good00", "0123456789abcdee")).await, Err(401));
    for id in ["past00", "unfit0", "groups", "when00", "absent"] {
        assert_eq!(who(&with(id, "0123456789abcdef")).await, Err(401), "{id}");
    }
    let (code, _) =
        send(&mut cluster.admin(), Method::DELETE, &format!("{secrets}/bootstrap-token-good00"), &Value::Null).await;
    assert_eq!(code, 200);
    assert_eq!(who(&with("good00", "0123456789abcdef")).await, Err(401));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_that_makes_no_sense_is_not_shown_to_webhooks() {
    const HOOKS: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    const REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
    let (cluster, _dir) = cluster().await;
    let mut admin = cluster.admin();
    let (group, resource) = ("authentication.k8s.io", "tokenreviews");
    let rule = json!({"apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": [resource]});
    // Nobody listens there, so it refuses whatever it is shown.
    let address = json!({"url": "https://127.0.0.1:1/"});
    let hook = json!({"name": "h.example.com", "rules": [rule], "sideEffects": "None",
        "admissionReviewVersions": ["v1"], "clientConfig": address});
    let hooks = json!({"metadata": {"name": "h"}, "webhooks": [hook]});
    assert_eq!(send(&mut admin, Method::POST, HOOKS, &hooks).await.0, 201);
    let sound = json!({"spec": {"token": "t"}});
    let refused = async || send(&mut cluster.admin(), Method::POST, REVIEWS, &sound).await.0 == 500;
    eventually("the webhook is asked", refused).await;
    let (code, said) = send(&mut admin, Method::POST, REVIEWS, &json!({"spec": {}})).await;
    assert_eq!((code, &said["message"]), (400, &json!("token is required for TokenReview in authentication")));
    cluster.stop().await;
}
