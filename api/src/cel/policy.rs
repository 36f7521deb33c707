//! The expressions of a ValidatingAdmissionPolicy, checked against the kinds that its rules name.
//!
//! Admission takes objects as they come; here their types are known, and what does not fit them is found before the
//! first request. It only warns: nothing is refused for it.
//!
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/#type-checking>.

mod kinds;

use k8s_openapi::api::admissionregistration::v1::{
    ExpressionWarning, ValidatingAdmissionPolicySpec, Validation, Variable,
};

use self::kinds::{Kind, kinds};
use super::admission::{namespace, request_environment};
use super::{Env, Program, Type};
use crate::field::Path;
use crate::resource::Resource;

/// What is wrong with a policy's expressions for objects of the kinds that its rules name, which may be Kubernetes' own
/// or those of the resources in `custom`. Others are left out.
#[must_use]
pub fn policy_warnings(spec: &ValidatingAdmissionPolicySpec, custom: &[Resource]) -> Vec<ExpressionWarning> {
    let environments = environments(spec, custom);
    let path = Path::new("spec").child("validations");
    let mut warnings = Vec::new();
    for (index, validation) in spec.validations.iter().flatten().enumerate() {
        for (field, text) in expressions(validation) {
            let warning = problems(text, &environments);
            if !warning.is_empty() {
                let field_ref = path.index(index).child(field).to_string();
                warnings.push(ExpressionWarning { field_ref, warning });
            }
        }
    }
    warnings
}

fn expressions(validation: &Validation) -> impl Iterator<Item = (&'static str, &str)> {
    let message = validation.message_expression.as_deref().unwrap_or_default();
    let all = [("expression", validation.expression.as_str()), ("messageExpression", message)];
    all.into_iter().filter(|(_, text)| !text.is_empty())
}

/// What is wrong with an expression: a paragraph for each kind that it does not fit.
fn problems(text: &str, environments: &[(Kind, Env)]) -> String {
    let paragraphs = environments.iter().filter_map(|(kind, env)| {
        let error = Program::compile(text, env).err()?;
        Some(format!("{kind}: {error}\n"))
    });
    paragraphs.collect::<Vec<_>>().join("\n")
}

/// What expressions may use, by the kind of the object.
fn environments(spec: &ValidatingAdmissionPolicySpec, custom: &[Resource]) -> Vec<(Kind, Env)> {
    let params = spec.param_kind.as_ref().map(|kind| Kind::of_params(kind).object_type(custom).unwrap_or(Type::Dyn));
    let variables = spec.variables.as_deref().unwrap_or_default();
    let environment = |kind: Kind| {
        let object = kind.object_type(custom)?;
        let env = request_environment(&object, params.clone()).with("namespaceObject", namespace());
        Some((kind, with_variables(env, variables)))
    };
    kinds(spec, custom).into_iter().filter_map(environment).collect()
}

/// Adds `variables`. One that does not compile may be anything; what is wrong with it is not told.
fn with_variables(env: Env, variables: &[Variable]) -> Env {
    let mut env = env.composing();
    for variable in variables {
        let compiled = Program::compile(&variable.expression, &env);
        env.compose(&variable.name, compiled.map_or(Type::Dyn, |program| program.output().clone()));
    }
    env
}

#[cfg(test)]
mod tests;
