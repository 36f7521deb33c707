//! The client against a fake server: errors, failover, watches that survive it, informers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::fake::Fake;
use crate::{Api, Change, Client, Config, DeleteOptions, Informer, ListParams, Patch};

fn map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name, "namespace": "x"}})).unwrap()
}

fn api(client: &Client) -> Api<ConfigMap> {
    Api::namespaced(client.clone(), "x")
}

async fn until(what: &str, test: impl Fn() -> bool) {
    for _ in 0..1000 {
        if test() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("did not happen: {what}");
}

#[tokio::test]
async fn objects_go_there_and_back_and_errors_keep_their_status() {
    let api = api(&Fake::default().client());
    let made = api.create(&map("a")).await.unwrap();
    assert_eq!(made.metadata.resource_version.as_deref(), Some("1"));
    assert!(api.create(&map("a")).await.unwrap_err().is_already_exists());
    let patched = api.patch("a", &Patch::Merge(json!({"data": {"k": "v"}}))).await.unwrap();
    assert_eq!(patched.data.unwrap()["k"], "v");
    assert!(api.update(&made).await.unwrap_err().is_conflict());
    api.delete("a", &DeleteOptions::default()).await.unwrap();
    let error = api.get("a").await.unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(error.to_string(), "configmaps \"a\" not found");
    assert!(api.get_opt("a").await.unwrap().is_none());
}

#[tokio::test]
async fn a_server_that_asks_to_come_again_did_nothing_so_even_writes_are_repeated() {
    let fake = Fake::default();
    fake.refuse.store(3, Ordering::SeqCst);
    api(&fake.client()).create(&map("a")).await.unwrap();
}

/// Two masters over one state.
async fn two_masters(fake: &Fake) -> (Client, [CancellationToken; 2]) {
    let stops = [CancellationToken::new(), CancellationToken::new()];
    let mut servers = Vec::new();
    for stop in &stops {
        servers.push(format!("http://{}", fake.serve(stop.clone()).await));
    }
    (Client::connect(&Config::new(servers)).unwrap(), stops)
}

#[tokio::test]
async fn calls_move_on_to_the_next_master() {
    let fake = Fake::default();
    let (client, stops) = two_masters(&fake).await;
    let api = api(&client);
    api.create(&map("a")).await.unwrap();
    stops[0].cancel();
    until("the next master is in use", || {
        let api = api.clone();
        tokio::spawn(async move { api.get("a").await.expect("a read is repeated until it is answered") });
        client.transport().current_server() == client.transport().servers()[1]
    })
    .await;
    api.create(&map("b")).await.unwrap();
    assert!(client.transport().current_server().ends_with(&client.transport().servers()[1]));
}

#[tokio::test]
async fn a_watch_goes_on_at_the_next_master_without_gap_or_repetition() {
    let fake = Fake::default();
    let (client, stops) = two_masters(&fake).await;
    let api = api(&client);
    let writer = Api::<ConfigMap>::namespaced(fake.client(), "x");
    let params = ListParams { resource_version: "0".into(), ..Default::default() };
    let mut watcher = api.watch(&params).await.unwrap();
    let mut seen = Vec::new();
    for number in 0..20 {
        writer.create(&map(&format!("m{number:02}"))).await.unwrap();
        if number == 10 {
            stops[0].cancel();
        }
        if number % 3 == 0 {
            seen.extend(watcher.next().await.unwrap().iter().map(|e| e.revision));
        }
    }
    while seen.len() < 20 {
        seen.extend(watcher.next().await.unwrap().iter().map(|e| e.revision));
    }
    assert_eq!(seen, (1..=20).collect::<Vec<u64>>());
}

#[tokio::test]
async fn an_informer_tells_every_change_and_keeps_its_indexes() {
    let fake = Fake::default();
    let api = api(&fake.client());
    api.create(&map("a")).await.unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let value = |m: &ConfigMap| m.data.iter().flatten().map(|(_, v)| v.clone()).collect();
    let mut informer = Informer::new(&api).index("value", value);
    let log = told.clone();
    informer.on_change(move |change| {
        let word = match change {
            Change::Added(_) => "added",
            Change::Updated { .. } => "updated",
            Change::Deleted(_) => "deleted",
        };
        log.lock().push(format!("{word} {}", change.object().metadata.name.clone().unwrap()));
    });
    let store = informer.store();
    let stop = CancellationToken::new();
    let running = tokio::spawn(informer.run(stop.clone()));
    store.synced().await;
    api.patch("a", &Patch::Merge(json!({"data": {"k": "v"}}))).await.unwrap();
    until("the index shows the value", || store.by_index("value", "v").len() == 1).await;
    api.delete("a", &DeleteOptions::default()).await.unwrap();
    until("the store is empty", || store.is_empty()).await;
    assert!(store.by_index("value", "v").is_empty());
    until("all is told", || told.lock().len() == 3).await;
    assert_eq!(*told.lock(), ["added a", "updated a", "deleted a"]);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn an_informer_lists_again_when_its_revision_is_too_old() {
    let fake = Fake::default();
    let (client, stops) = two_masters(&fake).await;
    let writer = Api::<ConfigMap>::namespaced(fake.client(), "x");
    writer.create(&map("a")).await.unwrap();
    let informer = Informer::new(&api(&client));
    let store = informer.store();
    let stop = CancellationToken::new();
    let running = tokio::spawn(informer.run(stop.clone()));
    store.synced().await;
    writer.create(&map("b")).await.unwrap();
    until("b is seen", || store.len() == 2).await;
    // The watch must resume at the second master, which has forgotten everything before revision 4.
    fake.oldest.store(4, Ordering::SeqCst);
    stops[0].cancel();
    until("the first master is gone", || client.transport().current_server() != client.transport().servers()[0]).await;
    writer.delete("a", &DeleteOptions::default()).await.unwrap();
    writer.create(&map("c")).await.unwrap();
    until("c is seen and a is gone", || store.find("x", "c").is_some() && store.find("x", "a").is_none()).await;
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn an_informer_takes_each_page_over_as_it_comes() {
    let pages = Arc::new(Semaphore::new(0));
    let fake = Fake::in_pages(pages.clone());
    let api = api(&fake.client());
    for name in ["a", "b", "c"] {
        api.create(&map(name)).await.unwrap();
    }
    let informer = Informer::new(&api);
    let store = informer.store();
    let stop = CancellationToken::new();
    let running = tokio::spawn(informer.run(stop.clone()));
    until("the first page is there", || store.len() == 1).await;
    assert!(futures::FutureExt::now_or_never(store.synced()).is_none(), "a part was taken for the whole");
    pages.add_permits(2);
    store.synced().await;
    assert_eq!(store.len(), 3);
    stop.cancel();
    running.await.unwrap();
}
