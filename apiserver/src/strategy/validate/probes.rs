//! Probes, lifecycle hooks and what they do.

use mainstay_api::names;
use serde_json::Value;

use super::{At, Errors};

/// The signals of Linux by name; those of real time count from both ends.
const SIGNALS: &[&str] = &[
    "SIGABRT",
    "SIGALRM",
    "SIGBUS",
    "SIGCHLD",
    "SIGCLD",
    "SIGCONT",
    "SIGFPE",
    "SIGHUP",
    "SIGILL",
    "SIGINT",
    "SIGIO",
    "SIGIOT",
    "SIGKILL",
    "SIGPIPE",
    "SIGPOLL",
    "SIGPROF",
    "SIGPWR",
    "SIGQUIT",
    "SIGRTMAX",
    "SIGRTMIN",
    "SIGSEGV",
    "SIGSTKFLT",
    "SIGSTOP",
    "SIGSYS",
    "SIGTERM",
    "SIGTRAP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGUSR1",
    "SIGUSR2",
    "SIGVTALRM",
    "SIGWINCH",
    "SIGXCPU",
    "SIGXFSZ",
];
const HANDLERS: &[&str] = &["exec", "httpGet", "tcpSocket", "grpc", "sleep"];

/// What a container is asked for; `grace` is the pod's.
pub(crate) fn probes(container: &At<'_>, errors: &mut Errors) {
    if let Some(probe) = container.opt("livenessProbe") {
        self::probe(&probe, errors);
        success_once(&probe, errors);
    }
    if let Some(probe) = container.opt("readinessProbe") {
        self::probe(&probe, errors);
        if let Some(grace) = probe.opt("terminationGracePeriodSeconds") {
            errors.invalid(&grace, "must not be set for readinessProbes");
        }
    }
    if let Some(probe) = container.opt("startupProbe") {
        self::probe(&probe, errors);
        success_once(&probe, errors);
    }
}

fn success_once(probe: &At<'_>, errors: &mut Errors) {
    let threshold = probe.get("successThreshold");
    if !threshold.is_null() && threshold.int() != 1 {
        errors.invalid(&threshold, "must be 1");
    }
}

fn probe(probe: &At<'_>, errors: &mut Errors) {
    handler(probe, &HANDLERS[..4], None, errors);
    for field in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
        errors.non_negative(&probe.get(field));
    }
    if let Some(grace) = probe.opt("terminationGracePeriodSeconds")
        && grace.int() <= 0
    {
        errors.invalid(&grace, "must be greater than 0");
    }
}

/// The hooks of a container.
pub(crate) fn lifecycle(lifecycle: &At<'_>, grace: i64, spec: &At<'_>, errors: &mut Errors) {
    const HOOKS: [&str; 4] = ["exec", "httpGet", "tcpSocket", "sleep"];
    for hook in ["postStart", "preStop"] {
        if let Some(hook) = lifecycle.opt(hook) {
            handler(&hook, &HOOKS, Some(grace), errors);
        }
    }
    if let Some(signal) = lifecycle.opt("stopSignal") {
        match spec.get("os").get("name").str() {
            "" => errors.forbidden(&signal, "may not be set for containers with empty `spec.os.name`"),
            "windows" => errors.one_of_if_set(&signal, &["SIGKILL", "SIGTERM"]),
            _ => errors.one_of_if_set(&signal, SIGNALS),
        }
    }
}

fn handler(at: &At<'_>, known: &[&str], grace: Option<i64>, errors: &mut Errors) {
    let present = at.present(known);
    for (index, name) in present.iter().enumerate() {
        let action = at.get(name);
        if index > 0 {
            errors.forbidden(&action, "may not specify more than 1 handler type");
            continue;
        }
        match *name {
            "exec" => errors.needed(&action.get("command")),
            "httpGet" => http_get(&action, errors),
            "tcpSocket" => port(&action.get("port"), errors),
            "grpc" => errors.in_range_port(&action.get("port")),
            _ => sleep(&action, grace.unwrap_or_default(), errors),
        }
    }
    if present.is_empty() {
        errors.required(at, "must specify a handler type");
    }
}

fn sleep(action: &At<'_>, grace: i64, errors: &mut Errors) {
    let seconds = action.get("seconds");
    if seconds.int() < 0 || seconds.int() > grace {
        let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        errors.0.push(mainstay_api::field::Error::invalid(&action.path, seconds.int(), detail));
    }
}

fn http_get(action: &At<'_>, errors: &mut Errors) {
    errors.needed(&action.get("path"));
    port(&action.get("port"), errors);
    let scheme = action.get("scheme");
    if !matches!(scheme.str(), "HTTP" | "HTTPS") {
        errors.unsupported(&scheme, &["HTTP", "HTTPS"]);
    }
    for header in action.get("httpHeaders").items() {
        let name = header.get("name");
        let texts = names::is_http_header_name(name.str());
        errors.each(&At::new(name.value, action.path.child("httpHeaders")), texts);
    }
}

/// A port by number or by name.
pub(crate) fn port(at: &At<'_>, errors: &mut Errors) {
    match at.value {
        Value::String(name) => errors.each(at, names::is_port_name(name)),
        _ => errors.in_range_port(at),
    }
}

impl Errors {
    /// Is a port's number.
    pub(crate) fn in_range_port(&mut self, at: &At<'_>) {
        let texts = names::is_port_number(at.int());
        for text in texts {
            self.0.push(mainstay_api::field::Error::invalid(&at.path, at.int(), text));
        }
    }
}
