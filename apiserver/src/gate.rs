//! What every request passes, whichever face it comes in by, in this order: authentication, audit, impersonation, flow
//! control, authorization.

use std::net::IpAddr;
use std::sync::Arc;

use http::request::Parts;
use jiff::Timestamp;
use mainstay_api::status::ApiResult;

use crate::audit::{Asked, Audit, Trail};
use crate::authn::{Authenticator, PeerCertificate};
use crate::authz::{Authorizer, AuthzAttributes, RequestInfo, forbidden};
use crate::flow::{Class, Flow, Permit};
use crate::user::UserInfo;

/// A request's identity when it comes from inside the process.
#[derive(Clone)]
pub(crate) struct Identity(pub UserInfo);

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remote(pub IpAddr);

/// Longest `Audit-ID` that is taken over from a request.
const LONGEST_ID: usize = 64;

/// The parts that judge requests.
pub(crate) struct Gate {
    pub authenticator: Arc<Authenticator>,
    pub authorizer: Arc<Authorizer>,
    pub audit: Option<Arc<Audit>>,
    pub flow: Flow,
}

/// A request as it came in.
pub(crate) struct Arrival {
    /// Names it in the audit log and in the answer.
    pub id: String,
    /// When that was.
    pub received: Timestamp,
}

impl Arrival {
    /// A request with these headers has just come in.
    pub fn now(parts: &Parts) -> Self {
        let given = parts.headers.get("audit-id").and_then(|value| value.to_str().ok());
        let given = given.filter(|id| !id.is_empty() && id.len() <= LONGEST_ID).map(str::to_owned);
        let id = given.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        Self { id, received: Timestamp::now() }
    }
}

/// Who asks, as was proved, and as whom they want to act.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Who acts.
    pub user: UserInfo,
    /// Who authenticated, if that is somebody else.
    pub real: Option<UserInfo>,
}

impl Caller {
    fn proved(&self) -> &UserInfo {
        self.real.as_ref().unwrap_or(&self.user)
    }
}

impl Gate {
    /// Who has sent a request: the identity given in the process, or what the request shows.
    ///
    /// # Errors
    /// 401 for bad credentials.
    pub async fn authenticate(&self, parts: &Parts) -> ApiResult<UserInfo> {
        if let Some(Identity(user)) = parts.extensions.get::<Identity>() {
            return Ok(user.clone());
        }
        self.authenticator.authenticate(parts, parts.extensions.get::<PeerCertificate>()).await
    }

    /// Who acts: the one who has sent it, or whom that one impersonates.
    ///
    /// # Errors
    /// 403 if they may not, 400 if it makes no sense.
    pub fn impersonate(&self, real: UserInfo, parts: &Parts, asked: &RequestInfo) -> ApiResult<Caller> {
        if parts.extensions.get::<Identity>().is_some() {
            return Ok(Caller { user: real, real: None });
        }
        match self.authenticator.impersonate(&real, parts, asked)? {
            Some(user) => Ok(Caller { user, real: Some(real) }),
            None => Ok(Caller { user: real, real: None }),
        }
    }

    /// Begins the audit trail of a request, if the policy wants one.
    pub fn trail(
        &self,
        parts: &Parts,
        arrival: &Arrival,
        caller: &Caller,
        attributes: &AuthzAttributes<'_>,
    ) -> Option<Trail> {
        let audit = self.audit.as_ref()?;
        let mut trail = audit.begin(&Asked {
            attributes: AuthzAttributes { user: caller.proved(), ..*attributes },
            uri: parts.uri.path_and_query().map_or_else(|| parts.uri.path().to_owned(), ToString::to_string),
            headers: &parts.headers,
            remote: parts.extensions.get::<Remote>().map(|remote| remote.0),
            id: arrival.id.clone(),
            received: arrival.received,
        })?;
        if caller.real.is_some() {
            trail.impersonates(&caller.user);
        }
        Some(trail)
    }

    /// Waits for a request's turn: how it was classified, and its seats or the 429.
    pub async fn turn(
        &self,
        attributes: &AuthzAttributes<'_>,
        seats: impl FnOnce() -> u32,
    ) -> (Option<Class>, ApiResult<Option<Permit>>) {
        let turn = self.flow.admit(attributes, seats).await;
        (turn.class, turn.outcome.map_err(|status| *status))
    }

    /// Asks the authorizer, once for each request.
    ///
    /// # Errors
    /// 403.
    pub fn authorize(&self, attributes: &AuthzAttributes<'_>, trail: Option<&mut Trail>) -> ApiResult<()> {
        let verdict = self.authorizer.explain(attributes);
        if let Some(trail) = trail {
            trail.judged(&verdict);
        }
        if verdict.allowed { Ok(()) } else { Err(forbidden(attributes, &verdict.reason)) }
    }
}
