//! Keeps the APIServices of what this server serves, while this master leads.

use jiff::Timestamp;
use mainstay_api::meta;
use mainstay_api::status::{ApiResult, Status};
use mainstay_store::Term;
use serde_json::{Value, json};

use super::{API_SERVICES, CLIENT, GROUP, local};
use crate::engine::{Body, Call, DeleteOptions, Engine, Target, WriteOptions, owning_edit};
use crate::strategy::Reader;
use crate::user::UserInfo;

/// Makes what is missing, removes what is stale, and says that local ones are available. Whether the caches show all of it:
/// what has just been made may not be there yet, nor the namespace of what comes with it.
///
/// # Errors
/// The first write that is refused.
pub(crate) async fn pass(engine: &Engine, term: Term) -> ApiResult<bool> {
    let said = say_how_to_authenticate(engine, term).await?;
    let rows = engine.registry.all();
    let wanted = local::wanted(&rows);
    for (name, object) in &wanted {
        if engine.reader.get(GROUP, API_SERVICES, "", name).is_none() {
            create(engine, term, object).await?;
        }
    }
    for service in engine.reader.list(GROUP, API_SERVICES, None) {
        if local::is_stale(&service, &wanted) {
            delete(engine, term, meta::name(&service)).await?;
        } else if let Some(status) = local::status(&service, &mainstay_api::time::seconds(Timestamp::now())) {
            tell(engine, term, meta::name(&service), status).await?;
        }
    }
    Ok(said && local::unregistered(&engine.reader, &rows).is_empty())
}

/// What servers of other groups read to know whom they may believe who asks. Whether it is there.
async fn say_how_to_authenticate(engine: &Engine, term: Term) -> ApiResult<bool> {
    const NAMESPACE: &str = "kube-system";
    const NAME: &str = "extension-apiserver-authentication";
    let there =
        |resource: &str, namespace: &str, name: &str| engine.reader.get("", resource, namespace, name).is_some();
    if there("configmaps", NAMESPACE, NAME) {
        return Ok(true);
    }
    if !there("namespaces", "", NAMESPACE) {
        return Ok(false);
    }
    let ca = engine.authenticator.pki().ca.cert_pem();
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME, "namespace": NAMESPACE},
        "data": {
            "client-ca-file": ca,
            "requestheader-client-ca-file": ca,
            "requestheader-allowed-names": json!([CLIENT]).to_string(),
            "requestheader-username-headers": "[\"X-Remote-User\"]",
            "requestheader-uid-headers": "[\"X-Remote-Uid\"]",
            "requestheader-group-headers": "[\"X-Remote-Group\"]",
            "requestheader-extra-headers-prefix": "[\"X-Remote-Extra-\"]",
        },
    });
    let row = engine.registry.find("", "v1", "configmaps");
    let row = row.ok_or_else(|| Status::internal("ConfigMaps are not served"))?;
    let target = Target { row, namespace: NAMESPACE.into(), name: String::new(), subresource: String::new() };
    let body = Body::Json(object.to_string().into());
    let made = engine.create(&mut call(term), &target, body, &WriteOptions::default()).await;
    unless(made.map(drop), 409).map(|()| true)
}

fn target(engine: &Engine, name: &str, subresource: &str) -> ApiResult<Target> {
    let row = engine.registry.find(GROUP, "v1", API_SERVICES);
    let row = row.ok_or_else(|| Status::internal("APIServices are not served"))?;
    Ok(Target { row, namespace: String::new(), name: name.to_owned(), subresource: subresource.to_owned() })
}

fn call(term: Term) -> Call {
    Call::new(UserInfo::master("apiserver"), "mainstay-apiserver", Some(term))
}

async fn create(engine: &Engine, term: Term, object: &Value) -> ApiResult<()> {
    let body = Body::Json(object.to_string().into());
    let target = target(engine, "", "")?;
    let made = engine.create(&mut call(term), &target, body, &WriteOptions::default()).await;
    unless(made.map(drop), 409)
}

async fn delete(engine: &Engine, term: Term, name: &str) -> ApiResult<()> {
    let gone = engine.delete(&mut call(term), &target(engine, name, "")?, &DeleteOptions::default()).await;
    unless(gone.map(drop), 404)
}

/// Writes the status of an APIService.
///
/// # Errors
/// What the write is refused with, but for an APIService that is gone.
pub(super) async fn tell(engine: &Engine, term: Term, name: &str, status: Value) -> ApiResult<()> {
    let (mut call, target) = (call(term), target(engine, name, "status")?);
    let change = owning_edit(&call, &target, move |object: &mut Value| {
        object["status"] = status.clone();
        Ok(())
    });
    let told = engine.modify(&mut call, &target, &change, &WriteOptions::default()).await;
    unless(told.map(drop), 404)
}

/// Somebody else was faster.
fn unless(outcome: ApiResult<()>, code: u16) -> ApiResult<()> {
    match outcome {
        Err(status) if status.code() == code => Ok(()),
        outcome => outcome,
    }
}
