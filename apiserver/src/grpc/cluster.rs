//! `Cluster`: the operation of the cluster itself.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use mainstay_api::status::{ApiResult, Status};
use mainstay_proto::v1 as wire;
use mainstay_proto::v1::cluster_server::Cluster;
use mainstay_store::{MemberInfo, MemberStatus, Role, Store, StoreError};
use tonic::{Extensions, Request, Response};

use super::access::user;
use super::backup::{Backups, Chunks};
use crate::encryption::EncryptionError;
use crate::engine::{Body, Call, Target, WriteOptions, store_status};
use crate::pki::{self, Admits, JoinToken, MasterPki};
use crate::rest::Rest;
use crate::user::UserInfo;

pub(crate) struct ClusterService {
    pub rest: Arc<Rest>,
    pub pki: Arc<MasterPki>,
    pub backups: Arc<Backups>,
}

type Reply<T> = Result<Response<T>, tonic::Status>;

fn told<T>(result: ApiResult<T>) -> Reply<T> {
    result.map(Response::new).map_err(|status| super::status(&status))
}

fn check(extensions: &Extensions) -> Result<UserInfo, tonic::Status> {
    let user = user(extensions).and_then(|user| {
        let master = user.groups.iter().any(|group| group == "system:mainstay:masters");
        if master || crate::authz::is_superuser(&user) {
            return Ok(user);
        }
        Err(Status::forbidden("", "cluster", "", format!("User {:?} is not an administrator", user.name)))
    });
    user.map_err(|status| super::status(&status))
}

impl ClusterService {
    fn masters(&self) -> Vec<String> {
        self.rest.engine.store.members().into_iter().map(|member| member.api_url).collect()
    }

    async fn create_token(
        &self,
        user: UserInfo,
        request: wire::CreateTokenRequest,
    ) -> ApiResult<wire::CreateTokenResponse> {
        let token = JoinToken::generate();
        let ttl = (request.ttl_seconds > 0).then(|| Duration::from_secs(request.ttl_seconds));
        let admits = if request.masters { Admits::Masters } else { Admits::Workers };
        let secret = token.to_secret(admits, ttl, &request.description, Timestamp::now());
        let row = self.rest.engine.registry().find("", "v1", "secrets").ok_or_else(Status::path_not_found)?;
        let target = Target { row, namespace: "kube-system".into(), name: String::new(), subresource: String::new() };
        let mut call = Call::new(user, "mainstay", None);
        self.rest
            .engine
            .create(&mut call, &target, Body::Json(secret.to_string().into()), &WriteOptions::default())
            .await?;
        Ok(wire::CreateTokenResponse { token: token.to_string() })
    }

    async fn rotate_key(&self, rewrite_only: bool) -> ApiResult<wire::RotateEncryptionKeyResponse> {
        let store = &self.rest.engine.store;
        let failed = |error: EncryptionError| store_status(error.into());
        let key = if rewrite_only { 0 } else { store.rotate().await.map_err(failed)? };
        let rewritten = store.rewrite().await.map_err(failed)?;
        tracing::info!(key, rewritten, "the encryption key was rotated");
        Ok(wire::RotateEncryptionKeyResponse { key, rewritten })
    }

    async fn status_of_all(&self) -> ApiResult<wire::StatusResponse> {
        let status = self.rest.engine.store.status().await.map_err(store_status)?;
        Ok(wire::StatusResponse {
            members: status.members.into_iter().map(member).collect(),
            cluster_id: pki_id(&self.pki),
            leader_id: status.leader_id.unwrap_or(0),
            term: status.term.0,
            revision: status.revision.0,
        })
    }
}

/// The cluster's name: its authority's fingerprint.
fn pki_id(pki: &MasterPki) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(pki.ca.cert_pem().as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn member(status: MemberStatus) -> wire::Member {
    let low = status.disk_low.unwrap_or(false);
    let role = if status.reachable { status.role.to_string() } else { "unreachable".to_owned() };
    let message = match (status.reachable, low) {
        (false, _) => "does not answer".to_owned(),
        (true, true) => "its disk is nearly full".to_owned(),
        (true, false) => String::new(),
    };
    wire::Member {
        id: status.member.id,
        name: status.member.name,
        role,
        peer_address: status.member.peer_address,
        url: status.member.api_url,
        applied: status.revision.unwrap_or_default().0,
        lag: status.lag.unwrap_or(0),
        log_bytes: status.log_bytes.unwrap_or(0),
        state_bytes: status.state_bytes.unwrap_or(0),
        version: status.version.unwrap_or_default(),
        healthy: status.reachable && !low,
        message,
        snapshot_index: status.snapshot_log.unwrap_or(0),
        disk_free_bytes: status.disk_free_bytes.unwrap_or(0),
        started_ms: status.started_ms.unwrap_or(0),
        votes: status.role != Role::Learner,
    }
}

/// A change that does not fit the membership is the caller's mistake.
fn change_status(error: StoreError) -> Status {
    match error {
        StoreError::Membership(reason) => Status::bad_request(reason),
        other => store_status(other),
    }
}

fn refused(error: pki::PkiError) -> Status {
    tracing::info!(%error, "refused a joiner");
    Status::failure(401, "Unauthorized", error.to_string())
}

#[tonic::async_trait]
impl Cluster for ClusterService {
    async fn version(&self, _: Request<wire::VersionRequest>) -> Reply<wire::VersionResponse> {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Ok(Response::new(wire::VersionResponse {
            version,
            kubernetes_version: crate::rest::KUBERNETES_VERSION.to_owned(),
        }))
    }

    async fn discover(&self, request: Request<wire::DiscoverRequest>) -> Reply<wire::DiscoverResponse> {
        let answer =
            pki::discover(&self.pki, &self.rest.engine.reader, self.masters(), &request.into_inner(), Timestamp::now());
        told(answer.map_err(refused))
    }

    async fn enroll(&self, request: Request<wire::EnrollRequest>) -> Reply<wire::EnrollResponse> {
        let caller = user(request.extensions()).map_err(|status| super::status(&status))?;
        let request = request.into_inner();
        let answer = if request.token.is_empty() {
            pki::renew_agent(&self.pki, &caller, self.masters(), &request)
        } else {
            pki::enrol(&self.pki, &self.rest.engine.reader, self.masters(), &request, Timestamp::now())
        };
        told(answer.map_err(refused))
    }

    async fn status(&self, request: Request<wire::StatusRequest>) -> Reply<wire::StatusResponse> {
        check(request.extensions())?;
        told(self.status_of_all().await)
    }

    async fn add_member(&self, request: Request<wire::AddMemberRequest>) -> Reply<wire::AddMemberResponse> {
        check(request.extensions())?;
        let wire::AddMemberRequest { name, id, peer_address, url } = request.into_inner();
        let added = self.rest.engine.store.add_member(MemberInfo { id, name, peer_address, api_url: url }).await;
        told(added.map_err(change_status)).map(drop)?;
        told(self.status_of_all().await.map(|status| wire::AddMemberResponse { members: status.members }))
    }

    async fn remove_member(&self, request: Request<wire::RemoveMemberRequest>) -> Reply<wire::RemoveMemberResponse> {
        check(request.extensions())?;
        let wire::RemoveMemberRequest { name, id } = request.into_inner();
        let store = &self.rest.engine.store;
        let removed =
            if id == 0 { store.remove_member(&name).await } else { store.remove_member_with_id(&name, id).await };
        told(removed.map(|()| wire::RemoveMemberResponse {}).map_err(change_status))
    }

    async fn transfer_leader(
        &self,
        request: Request<wire::TransferLeaderRequest>,
    ) -> Reply<wire::TransferLeaderResponse> {
        check(request.extensions())?;
        let to = Some(request.into_inner().to).filter(|name| !name.is_empty());
        let moved = self.rest.engine.store.transfer_leader(to).await;
        let leader =
            self.rest.engine.store.leadership().borrow().leader.clone().map(|leader| leader.name).unwrap_or_default();
        told(moved.map(|()| wire::TransferLeaderResponse { leader }).map_err(change_status))
    }

    type BackupStream = Chunks;

    async fn backup(&self, request: Request<wire::BackupRequest>) -> Reply<Self::BackupStream> {
        check(request.extensions())?;
        Ok(Response::new(self.backups.clone().send(Store::clone(&self.rest.engine.store), request.into_inner())))
    }

    async fn create_token(&self, request: Request<wire::CreateTokenRequest>) -> Reply<wire::CreateTokenResponse> {
        let user = check(request.extensions())?;
        told(Self::create_token(self, user, request.into_inner()).await)
    }
    async fn rotate_encryption_key(
        &self,
        request: Request<wire::RotateEncryptionKeyRequest>,
    ) -> Reply<wire::RotateEncryptionKeyResponse> {
        check(request.extensions())?;
        told(self.rotate_key(request.into_inner().rewrite_only).await)
    }
}
