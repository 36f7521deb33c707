//! How long an object takes through the door: decoding, defaulting and the protobuf form of one pod.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use mainstay_api::{decode, defaults, protobuf, types};
use serde_json::json;

fn pod(c: &mut Criterion) {
    let object = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "a", "namespace": "b", "labels": {"app": "x"}},
        "spec": {"containers": [{"name": "c", "image": "nginx:1.27", "ports": [{"containerPort": 80}],
            "resources": {"limits": {"cpu": "500m", "memory": "128Mi"}},
            "livenessProbe": {"httpGet": {"port": 80}}}]},
    });
    let of = types::type_of("", "v1", "Pod").expect("pods are built in");
    c.bench_function("decode pod", |b| b.iter(|| decode::strict(of, black_box(&object))));
    let mut read = decode::canonical(of, &object);
    c.bench_function("default pod", |b| {
        b.iter(|| {
            let mut object = read.clone();
            defaults::apply("", "v1", "Pod", &mut object);
            object
        });
    });
    defaults::apply("", "v1", "Pod", &mut read);
    c.bench_function("encode pod", |b| b.iter(|| protobuf::encode(black_box(&read))));
    let bytes = protobuf::encode(&read).expect("pods have a protobuf form");
    c.bench_function("read encoded pod", |b| b.iter(|| protobuf::decode(black_box(&bytes))));
}

criterion_group!(benches, pod);
criterion_main!(benches);
