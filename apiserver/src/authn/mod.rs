//! Who is asking: client certificates, service-account tokens, the administrator's token, join tokens, impersonation, or nobody.

mod bearer;
mod impersonation;
mod token_request;
mod tokens;

pub use token_request::create as create_token;
pub use tokens::{ISSUER, TokenError};

use crate::authz::{Authorizer, RequestInfo};
use crate::pki::{self, MasterPki};
use crate::strategy::Reader;
use http::request::Parts;
use jiff::Timestamp;
use mainstay_api::status::Status;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Someone who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserInfo {
    /// User name.
    pub name: String,
    /// Unique id, empty if there is none.
    pub uid: String,
    /// Groups.
    pub groups: Vec<String>,
    /// Further facts about the user.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl UserInfo {
    /// Who shows no credentials.
    #[must_use]
    pub fn anonymous() -> Self {
        Self { name: "system:anonymous".into(), groups: vec!["system:unauthenticated".into()], ..Self::default() }
    }

    /// The cluster's own parts, in the masters' processes.
    #[must_use]
    pub fn master(name: &str) -> Self {
        let groups = vec!["system:mainstay:masters".into(), "system:authenticated".into()];
        Self { name: format!("system:mainstay:master:{name}"), groups, ..Self::default() }
    }

    /// The administrator.
    #[must_use]
    pub fn admin() -> Self {
        let groups = vec!["system:masters".into(), "system:authenticated".into()];
        Self { name: "admin".into(), uid: "admin-uid".into(), groups, ..Self::default() }
    }
}

/// Tells from a request who asks.
pub struct Authenticator {
    pki: Arc<MasterPki>,
    ca_der: Vec<u8>,
    admin_token: String,
    reader: Arc<dyn Reader>,
    authorizer: Arc<Authorizer>,
}

/// The connection was made by this client, and TLS has proved that it holds the certificate's key.
type PeerCertificate<'a> = Option<&'a [u8]>;

impl Authenticator {
    /// An authenticator over these keys and this state.
    ///
    /// # Errors
    /// When the CA's certificate does not parse.
    pub fn new(pki: Arc<MasterPki>, reader: Arc<dyn Reader>, authorizer: Arc<Authorizer>) -> pki::PkiResult<Self> {
        let (_, block) = x509_parser::pem::parse_x509_pem(pki.ca.cert_pem().as_bytes())
            .map_err(|e| pki::PkiError::Damaged { what: "the cluster CA's certificate".into(), why: e.to_string() })?;
        let admin_token = pki.admin_token();
        Ok(Self { pki, ca_der: block.contents, admin_token, reader, authorizer })
    }

    /// Who asks, impersonation included. `peer_cert` is the leaf certificate (DER) that the client showed, if any.
    ///
    /// # Errors
    /// 401 for bad credentials, 403 for impersonation that is not allowed, 400 for one that makes no sense.
    pub fn authenticate(&self, parts: &Parts, peer_cert: PeerCertificate<'_>) -> Result<UserInfo, Status> {
        let user = self.identify(parts, peer_cert, Timestamp::now())?;
        let Some(wanted) = impersonation::wanted(&parts.headers)? else { return Ok(user) };
        let request = RequestInfo::of(&parts.method, &parts.uri);
        impersonation::check(&self.authorizer, &user, &wanted, &request)?;
        Ok(wanted.into_user())
    }

    fn identify(&self, parts: &Parts, peer_cert: PeerCertificate<'_>, now: Timestamp) -> Result<UserInfo, Status> {
        let by_certificate = peer_cert.map(|der| pki::verify_client(&self.ca_der, der, now));
        if let Some(Ok(cert)) = by_certificate {
            return Ok(from_certificate(cert));
        }
        if let Some(Err(error)) = &by_certificate {
            tracing::info!(%error, "refused a client certificate");
        }
        match bearer::token(&parts.headers) {
            Some(token) => self.by_token(&token, now).map_err(|_| Status::unauthorized()),
            None if by_certificate.is_some() => Err(Status::unauthorized()),
            None => Ok(UserInfo::anonymous()),
        }
    }

    /// Who holds a bearer token for the API itself.
    fn by_token(&self, token: &str, now: Timestamp) -> Result<UserInfo, TokenError> {
        if same(token, &self.admin_token) {
            return Ok(UserInfo::admin());
        }
        if let Some(user) = bearer::join_token_user(self.reader.as_ref(), token, now) {
            return Ok(user);
        }
        self.review_token(token, &[ISSUER], now).map(|(user, _)| user)
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

    /// Like [`Self::review_token`], but knows the administrator's token too.
    ///
    /// # Errors
    /// Why the token is not accepted.
    pub fn review_any(
        &self,
        token: &str,
        audiences: &[&str],
        now: Timestamp,
    ) -> Result<(UserInfo, Vec<String>), TokenError> {
        if same(token, &self.admin_token) && audiences.contains(&ISSUER) {
            return Ok((UserInfo::admin(), vec![ISSUER.to_owned()]));
        }
        self.review_token(token, audiences, now)
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
