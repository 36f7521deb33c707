//! Who may approve and sign which certificate requests, and what no request may ask for.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use mainstay_api::status::ApiResult;
use serde_json::Value;

use super::{Attributes, Operation, Plugin};
use crate::authz::{Authorizer, AuthzAttributes, Decision};

const GROUP: &str = "certificates.k8s.io";
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";
const MASTERS: &str = "system:masters";

fn is_request(request: &Attributes<'_>, operation: Operation, subresource: &str) -> bool {
    request.is(GROUP, "certificatesigningrequests")
        && request.operation == operation
        && request.subresource == subresource
}

fn signer(object: Option<&Value>) -> &str {
    object.and_then(|object| object.pointer("/spec/signerName")).and_then(Value::as_str).unwrap_or_default()
}

/// Whether a user has a verb on a signer: by its name, or by all names of its domain.
fn may(authorizer: &Authorizer, request: &Attributes<'_>, verb: &str, signer: &str) -> bool {
    let domain = signer.split('/').next().unwrap_or_default();
    [signer.to_owned(), format!("{domain}/*")].iter().any(|name| {
        let attributes = AuthzAttributes::resource(request.user, verb, GROUP, "signers", "", name);
        authorizer.authorize(&attributes) == Decision::Allow
    })
}

/// CertificateApproval.
pub(crate) struct CertificateApproval(pub Arc<Authorizer>);

#[async_trait]
impl Plugin for CertificateApproval {
    fn name(&self) -> &'static str {
        "CertificateApproval"
    }

    async fn validate(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        if !is_request(request, Operation::Update, "approval") {
            return Ok(());
        }
        let signer = signer(request.old_object.as_ref());
        if may(&self.0, request, "approve", signer) {
            return Ok(());
        }
        Err(request.forbidden(format!("user not permitted to approve requests with signerName \"{signer}\"")))
    }
}

/// CertificateSigning.
pub(crate) struct CertificateSigning(pub Arc<Authorizer>);

#[async_trait]
impl Plugin for CertificateSigning {
    fn name(&self) -> &'static str {
        "CertificateSigning"
    }

    async fn validate(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        if !is_request(request, Operation::Update, "status") || !signs(request) {
            return Ok(());
        }
        let signer = signer(request.old_object.as_ref());
        if may(&self.0, request, "sign", signer) {
            return Ok(());
        }
        Err(request.forbidden(format!("user not permitted to sign requests with signerName \"{signer}\"")))
    }
}

/// Whether an update of the status touches what a signer answers with.
fn signs(request: &Attributes<'_>) -> bool {
    let (Some(new), Some(old)) = (&request.object, &request.old_object) else { return false };
    ["/status/certificate", "/status/conditions"].iter().any(|field| new.pointer(field) != old.pointer(field))
}

/// CertificateSubjectRestriction.
pub(crate) struct CertificateSubjectRestriction;

#[async_trait]
impl Plugin for CertificateSubjectRestriction {
    fn name(&self) -> &'static str {
        "CertificateSubjectRestriction"
    }

    async fn validate(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        if !is_request(request, Operation::Create, "") || signer(request.object.as_ref()) != CLIENT_SIGNER {
            return Ok(());
        }
        let body = request.object.as_ref().and_then(|object| object.pointer("/spec/request")).and_then(Value::as_str);
        match organisations(body.unwrap_or_default()) {
            Ok(names) if names.iter().any(|name| name == MASTERS) => {
                Err(request.forbidden(format!("use of {CLIENT_SIGNER} signer with {MASTERS} group is not allowed")))
            }
            Ok(_) => Ok(()),
            Err(why) => Err(request.forbidden(format!("failed to parse CSR: {why}"))),
        }
    }
}

/// The organisations in the subject of a request, given as base64 of PEM.
fn organisations(encoded: &str) -> Result<Vec<String>, String> {
    let pem = base64::engine::general_purpose::STANDARD.decode(encoded).map_err(|error| error.to_string())?;
    crate::pki::requested_organisations(&pem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_request_is_told_apart() {
        assert!(organisations("bm90IGEgY3Ny").is_err());
        assert!(organisations("!").is_err());
    }

    #[test]
    fn the_organisations_of_a_request_are_read() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, MASTERS);
        let pem = params.serialize_request(&key).unwrap().pem().unwrap();
        let encoded = base64::engine::general_purpose::STANDARD.encode(pem);
        assert_eq!(organisations(&encoded).unwrap(), [MASTERS]);
    }
}
