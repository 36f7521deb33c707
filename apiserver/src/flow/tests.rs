//! Whose turn it is, without a server.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use serde_json::{Value, json};

use super::*;
use crate::user::UserInfo;

fn level(name: &str, shares: u32, lendable: u32, queues: u32) -> Arc<Value> {
    let response =
        json!({"type": "Queue", "queuing": {"queues": queues, "handSize": queues.min(4), "queueLengthLimit": 5}});
    let limited = json!({"nominalConcurrencyShares": shares, "lendablePercent": lendable, "limitResponse": response});
    Arc::new(
        json!({"metadata": {"name": name, "uid": format!("{name}-level")}, "spec": {"type": "Limited", "limited": limited}}),
    )
}

fn schema(name: &str, precedence: i64, group: &str) -> Arc<Value> {
    let resources =
        json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": true});
    let paths = json!({"verbs": ["*"], "nonResourceURLs": ["*"]});
    let subjects = json!([{"kind": "Group", "group": {"name": group}}]);
    Arc::new(json!({"metadata": {"name": name, "uid": format!("{name}-schema")}, "spec": {
        "matchingPrecedence": precedence,
        "priorityLevelConfiguration": {"name": name},
        "distinguisherMethod": {"type": "ByUser"},
        "rules": [{"subjects": subjects, "resourceRules": [resources], "nonResourceRules": [paths]}],
    }}))
}

/// 100 shares in two levels, and the 5 of catch-all.
fn flow(seats: u32, lendable: u32) -> Flow {
    let flow = Flow::new(FlowConfig { seats });
    let levels = [level("busy", 50, lendable, 8), level("other", 50, lendable, 8)];
    flow.configure(&[schema("busy", 10, "busy"), schema("other", 20, "other")], &levels);
    flow
}

fn user(name: &str, group: &str) -> UserInfo {
    UserInfo { name: name.into(), groups: vec![group.into(), "system:authenticated".into()], ..UserInfo::default() }
}

async fn enter(flow: &Flow, user: &UserInfo) -> Turn {
    flow.admit(&AuthzAttributes::resource(user, "get", "", "pods", "ns", "p"), || 1).await
}

/// The permit, if it is given at once.
fn now(flow: &Flow, user: &UserInfo) -> Option<Permit> {
    let entering = pin!(enter(flow, user));
    match entering.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(turn) => turn.outcome.ok().flatten(),
        Poll::Pending => None,
    }
}

#[tokio::test]
async fn a_level_runs_its_share_and_no_more() {
    let flow = flow(21, 0);
    let busy = user("u", "busy");
    let running: Vec<Permit> = std::iter::from_fn(|| now(&flow, &busy)).collect();
    assert_eq!(running.len(), 10);
    assert!(now(&flow, &user("v", "other")).is_some());
    drop(running);
    assert!(now(&flow, &busy).is_some());
}

#[tokio::test]
async fn what_others_lend_is_used_and_given_back() {
    let flow = flow(21, 50);
    let (busy, other) = (user("u", "busy"), user("v", "other"));
    let mut running: Vec<Permit> = std::iter::from_fn(|| now(&flow, &busy)).collect();
    assert_eq!(running.len(), 15, "its own ten and five that the other level lends");
    let others: Vec<Permit> = std::iter::from_fn(|| now(&flow, &other)).collect();
    assert_eq!(others.len(), 10, "a level's own seats are always its own");
    running.truncate(10);
    assert!(now(&flow, &busy).is_none(), "nothing is lent any more");
}

#[tokio::test]
async fn a_flood_waits_for_itself() {
    let flow = flow(21, 0);
    let (flood, calm) = (user("flood", "busy"), user("calm", "busy"));
    let mut running: Vec<Permit> = std::iter::from_fn(|| now(&flow, &flood)).collect();
    let waiting: Vec<_> = (0..15)
        .map(|_| {
            let (flow, flood) = (flow.clone(), flood.clone());
            tokio::spawn(async move { enter(&flow, &flood).await.outcome })
        })
        .collect();
    while !flow.0.state.lock().levels["busy"].waits() {
        tokio::task::yield_now().await;
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let late = tokio::spawn({
        let flow = flow.clone();
        async move { enter(&flow, &calm).await.outcome }
    });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    // The calm client's queue has got nothing yet: it is next, before the fifteen that came first.
    drop(running.pop());
    assert!(late.await.unwrap().unwrap().is_some());
    drop(running);
    for one in waiting {
        assert!(one.await.unwrap().is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_takes_a_part_while_others_ask() {
    let flow = flow(42, 0);
    let (flood, calm) = (user("flood", "busy"), user("calm", "busy"));
    let all = || -> Vec<Permit> { std::iter::from_fn(|| now(&flow, &flood)).collect() };
    assert_eq!(all().len(), 20, "nobody else wants any");
    let first = now(&flow, &calm).unwrap();
    let part = all();
    assert_eq!(part.len(), 11);
    let mut waiting = tokio::spawn({
        let (flow, flood) = (flow.clone(), flood.clone());
        async move { enter(&flow, &flood).await.outcome }
    });
    while !flow.0.state.lock().levels["busy"].waits() {
        tokio::task::yield_now().await;
    }
    assert!(now(&flow, &calm).is_some(), "who waits for its own leaves the other seats alone");
    assert!(futures::poll!(&mut waiting).is_pending());
    drop((first, part));
    assert!(waiting.await.unwrap().is_ok());
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(all().len(), 20);
}

#[tokio::test]
async fn full_queues_turn_away_in_kubernetes_words() {
    let flow = flow(21, 0);
    let flood = user("flood", "busy");
    let _running: Vec<Permit> = std::iter::from_fn(|| now(&flow, &flood)).collect();
    // Four queues in the hand, five places in each.
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let (flow, flood) = (flow.clone(), flood.clone());
            tokio::spawn(async move { enter(&flow, &flood).await })
        })
        .collect();
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    let turn = enter(&flow, &flood).await;
    let status = turn.outcome.err().unwrap();
    assert_eq!((status.code(), status.retry_after()), (429, Some(1)));
    assert_eq!(status.message, "Too many requests, please try again later.");
    assert_eq!(turn.class, Some(Class { schema: "busy-schema".into(), level: "busy-level".into() }));
    for one in waiting {
        one.abort();
        drop(one.await);
    }
    assert!(!flow.0.state.lock().levels["busy"].waits(), "who gives up leaves the queue");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever() {
    let flow = flow(21, 0);
    let flood = user("flood", "busy");
    let _running: Vec<Permit> = std::iter::from_fn(|| now(&flow, &flood)).collect();
    assert_eq!(enter(&flow, &flood).await.outcome.err().unwrap().code(), 429);
}

#[tokio::test]
async fn superusers_and_masters_never_wait() {
    let flow = flow(1, 0);
    for group in ["system:masters", "system:mainstay:masters"] {
        let turns: Vec<Turn> =
            futures::future::join_all((0..50).map(|_| async { enter(&flow, &user("m", group)).await })).await;
        assert!(turns.iter().all(|turn| turn.outcome.is_ok()));
    }
}

#[tokio::test]
async fn who_fits_nowhere_is_caught() {
    let flow = flow(210, 0);
    let turn = enter(&flow, &user("u", "system:authenticated")).await;
    assert_eq!(turn.class, Some(Class::default()), "the stored catch-all is missing here, and stands in");
    let running: Vec<Permit> = std::iter::from_fn(|| now(&flow, &user("u", "nothing"))).collect();
    assert!(!running.is_empty() && running.len() < 20, "{}", running.len());
}

#[test]
fn a_wide_list_takes_more_seats() {
    assert_eq!(
        [for_list(0, 0), for_list(1000, 0), for_list(1001, 0), for_list(50_000, 0), for_list(50_000, 500)],
        [1, 1, 2, 10, 1]
    );
}

#[tokio::test]
async fn a_configuration_that_changes_keeps_who_runs() {
    let flow = flow(21, 0);
    let busy = user("u", "busy");
    let running: Vec<Permit> = std::iter::from_fn(|| now(&flow, &busy)).collect();
    flow.configure(&[schema("busy", 10, "busy")], &[level("busy", 100, 0, 16)]);
    let more: Vec<Permit> = std::iter::from_fn(|| now(&flow, &busy)).collect();
    assert_eq!(running.len() + more.len(), 20);
    flow.configure(&[], &[]);
    drop((running, more));
    assert!(now(&flow, &busy).is_some(), "by catch-all");
}
