//! Clients that read registers and set them by compare-and-set. A register is a ConfigMap; its resourceVersion is what
//! is compared.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::ConfigMap;
use mainstay_client::{Api, Error};
use rand::Rng;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Notes, REGISTERS};
use crate::history::{Action, Call, INITIAL, Outcome};

/// Keeps histories short enough to be checked.
const PAUSE: Duration = Duration::from_millis(20);

pub(super) async fn create(api: &Api<ConfigMap>, register: u32) -> Result<()> {
    let object = json!({"metadata": {"name": name(register)}, "data": {"value": INITIAL.to_string()}});
    api.create(&serde_json::from_value(object)?).await.context("making a register")?;
    Ok(())
}

fn name(register: u32) -> String {
    format!("register-{register}")
}

pub(super) async fn run(client: u32, api: Api<ConfigMap>, notes: Arc<Notes>, stop: CancellationToken) -> Result<()> {
    let mut written: u64 = 0;
    while !stop.is_cancelled() {
        let register = rand::rng().random_range(0..REGISTERS);
        if let Some((value, object)) = read(&api, register, &notes).await?
            && rand::rng().random_bool(0.5)
        {
            written += 1;
            // Unique over all clients.
            let new = (u64::from(client) + 1) << 32 | written;
            set(&api, register, object, value, new, &notes).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

async fn read(api: &Api<ConfigMap>, register: u32, notes: &Notes) -> Result<Option<(u64, ConfigMap)>> {
    let sent = notes.now();
    let answer = api.get(&name(register)).await;
    let (outcome, found) = match answer {
        Ok(object) => {
            let value = value_of(&object).with_context(|| format!("register {register} holds no number"))?;
            (Outcome::Value(value), Some((value, object)))
        }
        Err(_) => (Outcome::Unknown, None),
    };
    notes.history.record(Call { register, action: Action::Read, outcome, sent, answered: notes.now() });
    Ok(found)
}

fn value_of(object: &ConfigMap) -> Option<u64> {
    object.data.as_ref()?.get("value")?.parse().ok()
}

async fn set(api: &Api<ConfigMap>, register: u32, mut object: ConfigMap, expected: u64, new: u64, notes: &Notes) {
    object.data.get_or_insert_default().insert("value".to_owned(), new.to_string());
    let sent = notes.now();
    let outcome = match api.update(&object).await {
        Ok(_) => Outcome::Done,
        Err(error) if error.is_conflict() => Outcome::Refused,
        // Surely not carried out: nothing to judge.
        Err(Error::Unavailable(_)) => return,
        Err(_) => Outcome::Unknown,
    };
    let action = Action::CompareAndSet { expected, new };
    notes.history.record(Call { register, action, outcome, sent, answered: notes.now() });
}
