//! Users without rights walk every method at every resource and subresource over gRPC: PERMISSION_DENIED at each.

use std::collections::{BTreeSet, HashMap};

use http::Method;
use mainstay_api::resource::{self, Resource};
use mainstay_apiserver::InProcess;
use mainstay_apiserver::user::UserInfo;
use mainstay_proto::v1::agents_client::AgentsClient;
use mainstay_proto::v1::cluster_client::ClusterClient;
use mainstay_proto::v1::masters_client::MastersClient;
use mainstay_proto::v1::objects_client::ObjectsClient;
use mainstay_proto::v1::txn_operation::Operation;
use mainstay_proto::v1::watch_command::Command;
use mainstay_proto::v1::watch_update::Update;
use mainstay_proto::v1::{self as wire, ResourceRef};
use serde_json::json;
use tonic::{Code, Status};

use crate::support::{cluster, send};
use crate::{OWN_QUESTIONS, member};

/// The definitions of the services that masters offer on the API port.
const DEFINITIONS: [&str; 3] = [
    include_str!("../../../proto/proto/objects.proto"),
    include_str!("../../../proto/proto/agents.proto"),
    include_str!("../../../proto/proto/cluster.proto"),
];

/// Methods that need no rights: they tell nothing, or ask for a join token themselves.
const OPEN: [&str; 3] = ["Cluster.Version", "Cluster.Discover", "Cluster.Enroll"];

/// `Service.Method` of every method of the definitions.
fn methods() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut service = "";
    for line in DEFINITIONS.iter().flat_map(|text| text.lines()) {
        let mut words = line.split([' ', '(']).filter(|word| !word.is_empty());
        match (words.next(), words.next()) {
            (Some("service"), Some(name)) => service = name,
            (Some("rpc"), Some(name)) => drop(found.insert(format!("{service}.{name}"))),
            _ => {}
        }
    }
    found
}

/// One user's walk, and the methods that it has come to.
struct Walk {
    user: String,
    objects: ObjectsClient<InProcess>,
    seen: BTreeSet<String>,
}

impl Walk {
    fn refused<T>(&mut self, method: &str, what: &str, answer: Result<T, Status>) {
        let user = &self.user;
        let status = answer.err().unwrap_or_else(|| panic!("{user} may do {method} of {what}"));
        assert_eq!(status.code(), Code::PermissionDenied, "{method} of {what} for {user}: {}", status.message());
        self.seen.insert(method.to_owned());
    }

    /// All unary methods at a resource or subresource; its verbs are not asked, as nobody without rights learns them.
    async fn objects(&mut self, place: &ResourceRef) {
        let at = || Some(place.clone());
        let what = format!("{}/{}.{}", place.resource, place.subresource, place.group);
        let mut client = self.objects.clone();
        let create = wire::CreateRequest { r#ref: at(), ..Default::default() };
        let update = wire::UpdateRequest { r#ref: at(), ..Default::default() };
        let patch = wire::PatchRequest { r#ref: at(), r#type: wire::PatchType::Merge.into(), ..Default::default() };
        let apply = wire::ApplyRequest { r#ref: at(), ..Default::default() };
        let delete = wire::DeleteRequest { r#ref: at(), ..Default::default() };
        let list = wire::ListRequest { r#ref: at(), ..Default::default() };
        let collection = wire::DeleteCollectionRequest { list: Some(list.clone()), ..Default::default() };
        let get = wire::GetRequest { r#ref: at(), ..Default::default() };
        self.refused("Objects.Get", &what, client.get(get).await);
        self.refused("Objects.List", &what, client.list(list).await);
        self.refused("Objects.Create", &what, client.create(create.clone()).await);
        self.refused("Objects.Update", &what, client.update(update.clone()).await);
        self.refused("Objects.Patch", &what, client.patch(patch.clone()).await);
        self.refused("Objects.Apply", &what, client.apply(apply.clone()).await);
        self.refused("Objects.Delete", &what, client.delete(delete.clone()).await);
        self.refused("Objects.DeleteCollection", &what, client.delete_collection(collection).await);
        let operations = [
            Operation::Create(create),
            Operation::Update(update),
            Operation::Patch(patch),
            Operation::Apply(apply),
            Operation::Delete(delete),
        ];
        for operation in operations {
            let operations = vec![wire::TxnOperation { operation: Some(operation) }];
            self.refused("Objects.Txn", &what, client.txn(wire::TxnRequest { operations, options: None }).await);
        }
    }

    /// One stream with a watch of every place.
    async fn watches(&mut self, places: &[ResourceRef]) {
        let starts = places.iter().cloned().zip(1..).map(|(place, id)| wire::WatchCommand {
            command: Some(Command::Start(wire::WatchStart { id, r#ref: Some(place), ..Default::default() })),
        });
        let starts = tokio_stream::iter(starts.collect::<Vec<_>>());
        let mut updates = self.objects.watch(starts).await.unwrap().into_inner();
        let mut ended = HashMap::new();
        while ended.len() < places.len() {
            let update = updates.message().await.unwrap().expect("the stream goes on while watches are unanswered");
            let place = &places[usize::try_from(update.id).unwrap() - 1];
            let Some(Update::Error(status)) = update.update else { panic!("{} may watch {place:?}", self.user) };
            let status: serde_json::Value = serde_json::from_slice(&status).unwrap();
            assert_eq!(status["code"], 403, "{place:?}: {status}");
            ended.insert(update.id, ());
        }
        self.seen.insert("Objects.Watch".into());
    }

    async fn others(&mut self, face: InProcess) {
        let (mut agents, mut masters, mut cluster) =
            (AgentsClient::new(face.clone()), MastersClient::new(face.clone()), ClusterClient::new(face));
        let hello = wire::Hello { node_name: "n1".into(), ..Default::default() };
        let hello = wire::AgentFrame { frame: Some(wire::agent_frame::Frame::Hello(hello)) };
        self.refused("Agents.Session", "n1", agents.session(tokio_stream::iter([hello])).await);
        let dial = wire::DialFrame { node_name: "n1".into(), ..Default::default() };
        self.refused("Masters.Dial", "n1", masters.dial(tokio_stream::iter([dial])).await);
        self.refused("Masters.FindSession", "n1", masters.find_session(wire::FindSessionRequest::default()).await);
        self.refused("Masters.ReportSessions", "", masters.report_sessions(wire::SessionReport::default()).await);
        self.refused("Cluster.Status", "", cluster.status(wire::StatusRequest {}).await);
        self.refused("Cluster.AddMember", "", cluster.add_member(wire::AddMemberRequest::default()).await);
        self.refused("Cluster.RemoveMember", "", cluster.remove_member(wire::RemoveMemberRequest::default()).await);
        let transfer = wire::TransferLeaderRequest::default();
        self.refused("Cluster.TransferLeader", "", cluster.transfer_leader(transfer).await);
        self.refused("Cluster.Backup", "", cluster.backup(wire::BackupRequest::default()).await);
        let rotate = wire::RotateEncryptionKeyRequest::default();
        self.refused("Cluster.RotateEncryptionKey", "", cluster.rotate_encryption_key(rotate).await);
        self.refused("Cluster.CreateToken", "", cluster.create_token(wire::CreateTokenRequest::default()).await);
    }
}

/// The resource and each of its subresources.
fn places(row: &Resource) -> Vec<ResourceRef> {
    let whole = ResourceRef {
        group: row.group.clone(),
        version: row.version.clone(),
        resource: row.resource.clone(),
        namespace: if row.namespaced { "n".into() } else { String::new() },
        name: "a".into(),
        subresource: String::new(),
    };
    let subresource = |name: &String| ResourceRef { subresource: name.clone(), ..whole.clone() };
    let below: Vec<ResourceRef> = row.subresources.iter().map(|sub| subresource(&sub.name)).collect();
    [vec![whole], below].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_rights_no_method_answers() {
    let (cluster, _dir) = cluster().await;
    for user in [member(), UserInfo::anonymous()] {
        let (name, face) = (user.name.clone(), cluster.server.in_process(user));
        let mut walk = Walk { user: name, objects: ObjectsClient::new(face.clone()), seen: BTreeSet::new() };
        let own = |place: &ResourceRef| OWN_QUESTIONS.contains(&place.resource.as_str());
        let all: Vec<ResourceRef> = resource::builtin().iter().flat_map(places).filter(|place| !own(place)).collect();
        for place in &all {
            walk.objects(place).await;
        }
        walk.watches(&all).await;
        walk.others(face).await;
        walk.seen.extend(OPEN.map(str::to_owned));
        assert_eq!(walk.seen, methods(), "a method that is new has to be walked too");
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needs_no_rights_needs_a_join_token() {
    let (cluster, _dir) = cluster().await;
    let mut client = ClusterClient::new(cluster.server.in_process(UserInfo::anonymous()));
    assert!(client.version(wire::VersionRequest {}).await.is_ok());
    let discover = wire::DiscoverRequest { token_id: "abcdef".into(), nonce: "x".into() };
    assert_eq!(client.discover(discover).await.unwrap_err().code(), Code::Unauthenticated);
    for kind in [wire::EnrollKind::Agent, wire::EnrollKind::Master] {
        let token = "abcdef.0123456789abcdef".to_owned();
        let enroll = wire::EnrollRequest { token, kind: kind.into(), name: "n1".into(), ..Default::default() };
        assert_eq!(client.enroll(enroll.clone()).await.unwrap_err().code(), Code::Unauthenticated);
        let renewal = wire::EnrollRequest { token: String::new(), ..enroll };
        assert_eq!(client.enroll(renewal.clone()).await.unwrap_err().code(), Code::Unauthenticated);
        let groups = vec!["system:nodes".into()];
        let other = UserInfo { name: "system:node:n2".into(), groups, ..UserInfo::default() };
        let mut other = ClusterClient::new(cluster.server.in_process(other));
        assert_eq!(other.enroll(renewal).await.unwrap_err().code(), Code::Unauthenticated);
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_about_a_collection_is_not_allowed_by_a_name() {
    let (cluster, _dir) = cluster().await;
    let (mut admin, group) = (cluster.admin(), "rbac.authorization.k8s.io");
    let role = json!({"metadata": {"name": "one"}, "rules": [
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["mine"], "verbs": ["*"]}]});
    let binding = json!({"metadata": {"name": "one"}, "subjects": [{"kind": "User", "name": "nobody", "apiGroup": group}],
        "roleRef": {"kind": "ClusterRole", "name": "one", "apiGroup": group}});
    for (resource, object) in [("clusterroles", role), ("clusterrolebindings", binding)] {
        let (code, _) = send(&mut admin, Method::POST, &format!("/apis/{group}/v1/{resource}"), &object).await;
        assert_eq!(code, 201);
    }
    let mut nobody = ObjectsClient::new(cluster.server.in_process(member()));
    let mine = ResourceRef {
        version: "v1".into(),
        resource: "configmaps".into(),
        namespace: "default".into(),
        name: "mine".into(),
        ..ResourceRef::default()
    };
    let at = || Some(mine.clone());
    let get = wire::GetRequest { r#ref: at(), ..Default::default() };
    assert_eq!(nobody.get(get).await.unwrap_err().code(), Code::NotFound, "it may be read by its name");
    let list = wire::ListRequest { r#ref: at(), ..Default::default() };
    let collection = wire::DeleteCollectionRequest { list: Some(list.clone()), ..Default::default() };
    let other = json!({"metadata": {"name": "other"}}).to_string();
    let create = wire::CreateRequest { r#ref: at(), object: other.into(), options: None };
    let operations = vec![wire::TxnOperation { operation: Some(Operation::Create(create.clone())) }];
    let txn = wire::TxnRequest { operations, options: None };
    let refused = [
        nobody.list(list).await.err(),
        nobody.delete_collection(collection).await.err(),
        nobody.create(create).await.err(),
        nobody.txn(txn).await.err(),
    ];
    assert!(
        refused.iter().all(|why| why.as_ref().is_some_and(|why| why.code() == Code::PermissionDenied)),
        "{refused:?}"
    );
    cluster.stop().await;
}
