//! `mainstay wait`

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use mainstay_api::resource::Resource;
use mainstay_client::{DynamicApi, ListParams};
use serde_json::Value;

use super::jsonpath::JsonPath;
use super::print;
use super::selection::{self, Selected};
use super::session::Common;

const POLL: Duration = Duration::from_millis(100);
/// Seconds; nobody waits for longer, and the clock can still count it.
const LONGEST: u64 = 100 * 365 * 24 * 3600;

/// `mainstay wait`
#[derive(Args)]
pub(crate) struct WaitArgs {
    #[command(flatten)]
    common: Common,
    /// What: pod/a, or a type with --all or -l
    #[arg(required = true, value_name = "TYPE [NAME…]")]
    what: Vec<String>,
    /// condition=Ready, condition=Ready=false, delete, create, or jsonpath={.status.phase}=Running
    #[arg(long = "for", value_name = "WHAT")]
    goal: Goal,
    /// Only with these labels
    #[arg(long, short = 'l', default_value = "", hide_default_value = true)]
    selector: String,
    /// All objects of the type in the namespace
    #[arg(long)]
    all: bool,
    /// How long, for example 60s or 5m
    #[arg(long, default_value = "30s", value_parser = seconds, value_name = "TIME")]
    timeout: u64,
}

/// What is waited for.
#[derive(Clone, Debug)]
enum Goal {
    Gone,
    There,
    Condition(String, String),
    Path(JsonPath, Option<String>),
}

impl std::str::FromStr for Goal {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(rest) = text.strip_prefix("condition=") {
            let (name, value) = rest.split_once('=').unwrap_or((rest, "True"));
            return Ok(Goal::Condition(name.to_owned(), value.to_owned()));
        }
        if let Some(rest) = text.strip_prefix("jsonpath=") {
            let rest = rest.trim_matches('\'');
            let (path, value) =
                rest.rsplit_once("}=").map_or((rest, None), |(path, value)| (path, Some(value.to_owned())));
            return Ok(Goal::Path(path.trim_matches(['{', '}']).parse()?, value));
        }
        match text {
            "delete" => Ok(Goal::Gone),
            "create" => Ok(Goal::There),
            _ => bail!("{text:?}: there are condition=…, delete, create and jsonpath={{…}}=…"),
        }
    }
}

impl Goal {
    fn is_met(&self, object: Option<&Value>) -> bool {
        let Some(object) = object else { return matches!(self, Goal::Gone) };
        match self {
            Goal::Gone => false,
            Goal::There => true,
            Goal::Condition(name, value) => {
                let conditions = object["status"]["conditions"].as_array();
                let same =
                    |found: &Value, wanted: &str| found.as_str().is_some_and(|text| text.eq_ignore_ascii_case(wanted));
                conditions.is_some_and(|list| list.iter().any(|c| same(&c["type"], name) && same(&c["status"], value)))
            }
            Goal::Path(path, wanted) => path.of(object).iter().any(|found| match wanted {
                None => true,
                Some(wanted) => found.as_str().map_or_else(|| found.to_string() == *wanted, |text| text == wanted),
            }),
        }
    }
}

/// Waits.
pub(crate) async fn run(args: WaitArgs) -> Result<ExitCode> {
    let session = args.common.session()?;
    let deadline = Instant::now() + Duration::from_secs(args.timeout);
    for Selected { row, names } in selection::parse(&session, &args.what).await? {
        let api = session.api(&row);
        let names = if names.is_empty() { found(&args, &api, &row).await? } else { names };
        for name in names {
            one(&args, &api, &row, &name, deadline).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn found(args: &WaitArgs, api: &DynamicApi, row: &Resource) -> Result<Vec<String>> {
    if !args.all && args.selector.is_empty() {
        bail!(
            "resource(s) were provided, but no name was specified: name {}, or give -l LABELS or --all",
            row.resource
        );
    }
    let list = api.list(&ListParams::labels(args.selector.clone())).await?;
    let names: Vec<String> =
        list.items.iter().filter_map(|item| item["metadata"]["name"].as_str()).map(str::to_owned).collect();
    if names.is_empty() && !matches!(args.goal, Goal::Gone) {
        bail!("no matching resources found");
    }
    Ok(names)
}

async fn one(args: &WaitArgs, api: &DynamicApi, row: &Resource, name: &str, deadline: Instant) -> Result<()> {
    let mut seen = false;
    loop {
        let object = match api.get(name, "").await {
            Ok(object) => Some(object),
            Err(error) if error.is_not_found() && matches!(args.goal, Goal::Gone | Goal::There) => None,
            Err(error) => return Err(error.into()),
        };
        // Nothing is said of what was never there.
        if object.is_none() && matches!(args.goal, Goal::Gone) && !seen {
            return Ok(());
        }
        seen = true;
        if args.goal.is_met(object.as_ref()) {
            return print::line(&format!("{} condition met", print::kind_name(row, name)));
        }
        if Instant::now() > deadline {
            match args.goal {
                Goal::There => bail!("timed out waiting for the condition"),
                _ => bail!("timed out waiting for the condition on {}/{name}", row.resource),
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

/// `90`, `90s`, `5m`, `1h`, `1m30s`: seconds.
pub(crate) fn seconds(text: &str) -> Result<u64> {
    let found = parsed(text).filter(|seconds| *seconds <= LONGEST);
    found.with_context(|| format!("{text:?} is not a time; write 90s, 5m or 1h"))
}

fn parsed(text: &str) -> Option<u64> {
    if let Ok(plain) = text.parse() {
        return Some(plain);
    }
    let (mut total, mut number) = (0u64, String::new());
    for character in text.chars() {
        let unit = match character {
            '0'..='9' => {
                number.push(character);
                continue;
            }
            's' => 1,
            'm' => 60,
            'h' => 3600,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(unit)?)?;
        number.clear();
    }
    number.is_empty().then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_seconds() {
        let times = ["90", "90s", "5m", "1h", "1m30s", "0"];
        assert_eq!(times.map(|text| seconds(text).unwrap()), [90, 90, 300, 3600, 90, 0]);
        for wrong in ["1d", "5m3", "m", "18446744073709551615", "18446744073709551615h", "9999999999999999999s9h"] {
            let told = seconds(wrong).unwrap_err().to_string();
            assert_eq!(told, format!("{wrong:?} is not a time; write 90s, 5m or 1h"));
        }
    }
}
