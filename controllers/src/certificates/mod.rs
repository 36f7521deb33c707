//! Certificate requests: those of nodes are approved, approved ones are signed, old ones go.
//!
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/>.

mod approve;
mod lifetime;
mod request;
mod signers;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use mainstay_client::{Api, DeleteOptions, Error, Key, object_key};

use crate::claim::absent_is_fine;
use crate::meta::{is_deleting, name, uid};
use crate::runner::{Controller, Keys, Next};
use crate::world::{Informers, World};
use request::Asked;

/// The reason of requests that their signer does not take.
const INVALID: &str = "SignerValidationFailure";

/// Signs certificate requests with the cluster's CA.
pub trait CertificateSigner: Send + Sync + 'static {
    /// The PEM of a certificate for the key, the subject and the names of `request` (PEM of PKCS#10), good for these
    /// usages (in Kubernetes' words) and for so long.
    ///
    /// # Errors
    /// Why this CA cannot issue it.
    fn sign(&self, request: &[u8], usages: &[String], lifetime: Duration) -> Result<String, String>;
}

pub(crate) struct CertificateRequests {
    world: World,
    signer: Arc<dyn CertificateSigner>,
}

impl CertificateRequests {
    pub(crate) fn new(
        world: &World,
        informers: &mut Informers,
        queue: &Keys,
        signer: Arc<dyn CertificateSigner>,
    ) -> Self {
        let keys = queue.clone();
        informers.certificate_requests.on_change(move |change| {
            keys.add(object_key(&**change.object()));
        });
        Self { world: world.clone(), signer }
    }

    fn api(&self) -> Api<CertificateSigningRequest> {
        self.world.api("")
    }

    /// Approves what nodes may ask for themselves.
    async fn approve(&self, request: &CertificateSigningRequest, asked: &Asked) -> Result<(), Error> {
        for rule in approve::rules(request, asked) {
            let review = approve::review(request, rule);
            let judged = self.world.api::<SubjectAccessReview>("").create(&review).await?;
            if !judged.status.is_some_and(|status| status.allowed) {
                continue;
            }
            let mut approved = request.clone();
            add_condition(&mut approved, "Approved", "AutoApproved", rule.message);
            absent_is_fine(self.api().update_subresource(&approved, "approval").await)?;
            return Ok(());
        }
        Ok(())
    }

    /// Signs an approved request, or says why not.
    async fn sign(&self, request: &CertificateSigningRequest, asked: Result<Asked, String>) -> Result<(), Error> {
        let spec = &request.spec;
        let usages = spec.usages.clone().unwrap_or_default();
        let mut answered = request.clone();
        let signed = asked
            .and_then(|asked| signers::check(&spec.signer_name, &asked, &usages))
            .and_then(|()| self.signer.sign(&spec.request.0, &usages, signers::lifetime(spec.expiration_seconds)));
        match signed {
            Ok(pem) => {
                answered.status.get_or_insert_default().certificate = Some(ByteString(pem.into_bytes()));
            }
            Err(why) => add_condition(&mut answered, "Failed", INVALID, &why),
        }
        absent_is_fine(self.api().update_status(&answered).await).map(drop)
    }
}

fn add_condition(request: &mut CertificateSigningRequest, kind: &str, reason: &str, message: &str) {
    let now = Time(Timestamp::now());
    let condition = CertificateSigningRequestCondition {
        type_: kind.to_owned(),
        status: "True".to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_update_time: Some(now.clone()),
        last_transition_time: Some(now),
    };
    request.status.get_or_insert_default().conditions.get_or_insert_default().push(condition);
}

/// Whether a request has a condition.
fn has(request: &CertificateSigningRequest, kind: &str) -> bool {
    let conditions = request.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|conditions| conditions.iter().any(|condition| condition.type_ == kind))
}

fn is_issued(request: &CertificateSigningRequest) -> bool {
    request.status.as_ref().is_some_and(|status| status.certificate.as_ref().is_some_and(|pem| !pem.0.is_empty()))
}

#[async_trait]
impl Controller for CertificateRequests {
    fn name(&self) -> &'static str {
        "certificate-requests"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let request = self.world.certificate_requests.get(key).filter(|request| !is_deleting(&request.metadata));
        let Some(request) = request else { return Ok(Next::Settled) };
        let left = lifetime::left(&request, Timestamp::now());
        if left.is_zero() {
            let options = DeleteOptions::of_uid(uid(&request.metadata));
            absent_is_fine(self.api().delete(name(&request.metadata), &options).await)?;
            return Ok(Next::Settled);
        }
        if !is_issued(&request) && !has(&request, "Denied") && !has(&request, "Failed") {
            let asked = Asked::parse(&request.spec.request.0);
            if !has(&request, "Approved") {
                if let Ok(asked) = &asked {
                    self.approve(&request, asked).await?;
                }
            } else if signers::is_own(&request.spec.signer_name) {
                self.sign(&request, asked).await?;
            }
        }
        Ok(Next::After(left))
    }
}
