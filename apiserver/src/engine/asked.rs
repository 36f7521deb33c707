//! Creates that store nothing: reviews and tokens.

use mainstay_api::meta;
use mainstay_api::status::ApiResult;
use serde_json::Value;

use super::commit::Answer;
use super::decode::Body;
use super::{Call, Engine, Target, WriteOptions, managed};
use crate::admission::Operation;
use crate::authn::{create_token, prepare_token};
use crate::authz::reviews::{self, Review};

impl Engine {
    /// Answers a review.
    pub(crate) async fn review(
        &self,
        call: &mut Call,
        target: &Target,
        body: Body,
        options: &WriteOptions,
    ) -> ApiResult<Answer> {
        let mut object = self.read_body(call, target, body, options)?;
        wipe(&mut object, target);
        managed::track(call, target, None, &mut object, options);
        let object = self.admit_mutating(call, target, Operation::Create, object, options).await?;
        reviews::check(target.kind(), &object, &target.namespace)?;
        self.admit_validating(call, target, Operation::Create, Some(&object), None, options).await?;
        let review = Review {
            authorizer: &self.authorizer,
            authenticator: &self.authenticator,
            user: &call.user,
            namespace: &target.namespace,
            now: call.now,
        };
        let value = reviews::answer(target.kind(), &object, &review)?;
        Ok(Answer { bytes: value.to_string().into(), created: true, accepted: false, kind: None })
    }

    /// Issues a token for a service account.
    pub(crate) async fn issue_token(
        &self,
        call: &mut Call,
        target: &Target,
        body: Body,
        options: &WriteOptions,
    ) -> ApiResult<Answer> {
        let object = self.read_body(call, target, body, options)?;
        let object = self.admit_mutating(call, target, Operation::Create, object, options).await?;
        let object = prepare_token(&self.reader, &target.namespace, &target.name, object, call.now)?;
        self.admit_validating(call, target, Operation::Create, Some(&object), None, options).await?;
        let key = &self.authenticator.pki().service_account;
        let value = create_token(key, &self.reader, &target.namespace, &target.name, &object, call.now)?;
        Ok(Answer {
            bytes: value.to_string().into(),
            created: true,
            accepted: false,
            kind: Some("TokenRequest".into()),
        })
    }
}

/// Takes away what only the server says of an object.
fn wipe(object: &mut Value, target: &Target) {
    for field in ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
        meta::remove_field(object, field);
    }
    if !target.row.resource.namespaced {
        meta::remove_field(object, "namespace");
    }
}
