//! Who is asking: client certificates, service-account tokens, the administrator's token, bootstrap tokens, tokens of OpenID
//! Connect issuers, impersonation, or nobody.

mod bearer;
mod impersonation;
mod oidc;
mod peer;
mod token_request;
mod tokens;

pub(crate) use bearer::{forget as forget_token, overlooked as overlooked_token};
pub use oidc::{OidcConfig, OidcError};
pub(crate) use peer::PeerCertificate;
pub use token_request::{create as create_token, prepare as prepare_token};
pub use tokens::{ISSUER, TokenError};

use std::collections::BTreeMap;
use std::sync::Arc;

use http::request::Parts;
use jiff::Timestamp;
use mainstay_api::status::Status;
use tokio_util::sync::CancellationToken;

use crate::authz::{Authorizer, RequestInfo};
use crate::pki::{self, MasterPki};
use crate::strategy::Reader;
use crate::user::UserInfo;
use impersonation::Impersonation;

/// Why an authenticator cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AuthnError {
    /// The keys are not usable.
    #[error(transparent)]
    Pki(#[from] pki::PkiError),
    /// An OpenID Connect issuer is not configured as it has to be.
    #[error(transparent)]
    Oidc(#[from] OidcError),
}

/// Tells from a request who asks.
pub struct Authenticator {
    pki: Arc<MasterPki>,
    ca_der: Vec<u8>,
    admin_token: String,
    reader: Arc<dyn Reader>,
    authorizer: Arc<Authorizer>,
    oidc: oidc::Issuers,
    impersonation: Impersonation,
}

impl Authenticator {
    /// An authenticator over these keys, this state and these OpenID Connect issuers.
    ///
    /// # Errors
    /// When the CA's certificate does not parse, or the configuration of an issuer is not usable.
    pub fn new(
        pki: Arc<MasterPki>,
        reader: Arc<dyn Reader>,
        authorizer: Arc<Authorizer>,
        oidc: Vec<OidcConfig>,
    ) -> Result<Self, AuthnError> {
        let (_, block) = x509_parser::pem::parse_x509_pem(pki.ca.cert_pem().as_bytes())
            .map_err(|e| pki::PkiError::Damaged { what: "the cluster CA's certificate".into(), why: e.to_string() })?;
        let admin_token = pki.admin_token();
        let oidc = oidc::Issuers::new(oidc)?;
        let impersonation = Impersonation::default();
        Ok(Self { pki, ca_der: block.contents, admin_token, reader, authorizer, oidc, impersonation })
    }

    /// Keeps what is fetched from elsewhere current until `stop`.
    pub fn start(&self, stop: &CancellationToken) {
        self.oidc.start(stop);
    }

    /// Who has sent a request. `peer` is what the connection's client showed, if anything.
    ///
    /// # Errors
    /// 401 for bad credentials.
    pub(crate) async fn authenticate(&self, parts: &Parts, peer: Option<&PeerCertificate>) -> Result<UserInfo, Status> {
        let now = Timestamp::now();
        match peer.map(|peer| peer.user(&self.ca_der, now)) {
            Some(Ok(user)) => return Ok(user),
            Some(Err(error)) => tracing::info!(%error, "refused a client certificate"),
            None => {}
        }
        match bearer::token(&parts.headers) {
            Some(token) => self.by_token(&token, now).await.map_err(|error| {
                tracing::info!(%error, "refused a bearer token");
                Status::unauthorized()
            }),
            None if peer.is_some() => Err(Status::unauthorized()),
            None => Ok(UserInfo::anonymous()),
        }
    }

    /// Whom `user` acts as, if the request's headers ask for somebody.
    ///
    /// # Errors
    /// 403 for impersonation that is not allowed, 400 for one that makes no sense.
    pub fn impersonate(
        &self,
        user: &UserInfo,
        parts: &Parts,
        request: &RequestInfo,
    ) -> Result<Option<UserInfo>, Status> {
        let Some(wanted) = impersonation::wanted(&parts.headers)? else { return Ok(None) };
        self.impersonation.act(&self.authorizer, user, &wanted, request).map(Some)
    }

    /// Who holds a bearer token for the API itself.
    async fn by_token(&self, token: &str, now: Timestamp) -> Result<UserInfo, TokenError> {
        if same(token, &self.admin_token) {
            return Ok(UserInfo::admin());
        }
        if let Some(user) = bearer::join_token_user(self.reader.as_ref(), token, now) {
            return Ok(user);
        }
        match self.review_token(token, &[ISSUER], now) {
            Err(TokenError::Invalid) => self.oidc.authenticate(token, now).await,
            judged => judged.map(|(user, _)| user),
        }
    }

    /// Who holds a service-account token that is good for one of these audiences, and for which of them.
    ///
    /// # Errors
    /// Why the token is not accepted.
    pub fn review_token(
        &self,
        token: &str,
        audiences: &[&str],
        now: Timestamp,
    ) -> Result<(UserInfo, Vec<String>), TokenError> {
        tokens::verify(&self.pki.service_account, self.reader.as_ref(), token, audiences, now).map(
            |(mut user, audiences)| {
                user.groups.push("system:authenticated".into());
                (user, audiences)
            },
        )
    }

    /// Like [`Self::review_token`], but knows the administrator's token, join tokens and those of other issuers too.
    ///
    /// # Errors
    /// Why the token is not accepted.
    pub fn review_any(
        &self,
        token: &str,
        audiences: &[&str],
        now: Timestamp,
    ) -> Result<(UserInfo, Vec<String>), TokenError> {
        if audiences.contains(&ISSUER) {
            let own = same(token, &self.admin_token).then(UserInfo::admin);
            let own = own.or_else(|| bearer::join_token_user(self.reader.as_ref(), token, now));
            if let Some(user) = own {
                return Ok((user, vec![ISSUER.to_owned()]));
            }
        }
        match self.review_token(token, audiences, now) {
            Err(TokenError::Invalid) => self.oidc.review(token, audiences, now),
            judged => judged,
        }
    }

    /// The keys that this authenticator trusts.
    #[must_use]
    pub fn pki(&self) -> &MasterPki {
        &self.pki
    }
}

fn from_certificate(cert: pki::ClientCertificate) -> UserInfo {
    let mut groups = cert.groups;
    groups.push("system:authenticated".into());
    let id = format!("X509SHA256={}", cert.fingerprint);
    let extra = BTreeMap::from([("authentication.kubernetes.io/credential-id".to_owned(), vec![id])]);
    UserInfo { name: cert.user, uid: String::new(), groups, extra }
}

fn same(a: &str, b: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a.as_bytes(), b.as_bytes()).is_ok()
}
