//! Good inputs to begin from.

use std::sync::LazyLock;

pub const POD: &[u8] = br#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"n","labels":{"a":"b"},"creationTimestamp":"2026-01-01T00:00:00Z","managedFields":[{"manager":"m","operation":"Apply","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:labels":{"f:a":{}}}}}]},"spec":{"containers":[{"name":"c","image":"i:1","args":["a"],"env":[{"name":"E","value":"1"}],"ports":[{"containerPort":80,"protocol":"TCP"}],"resources":{"limits":{"cpu":"100m","memory":"1Gi"}},"livenessProbe":{"httpGet":{"port":"http"}}}],"tolerations":[{"key":"k","operator":"Exists","tolerationSeconds":3}]},"status":{"phase":"Running"}}"#;

pub static JSON: [&[u8]; 4] = [
    POD,
    br#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d"},"spec":{"replicas":3,"selector":{"matchLabels":{"a":"b"}},"template":{"spec":{"containers":[]}},"strategy":{"rollingUpdate":{"maxSurge":"25%","maxUnavailable":1}}}}"#,
    br#"{"spec":{"ports":[{"port":80,"targetPort":"x","nodePort":30000}],"clusterIP":"None","type":"ClusterIP"}}"#,
    br#"[null,true,-1.5e-3,"\u0041\ud83d\ude00",{"a":{}}]"#,
];

pub static DOCUMENTS: [&[u8]; 3] = [
    br#"{"kind":"Pod","apiVersion":"v1","a":{"x":1,"x":2},"l":[1.5,-0,1e9,"\u00e9\ud83d\ude00"]}"#,
    br#"{"kind":"DeleteOptions","gracePeriodSeconds":0,"preconditions":{"uid":"u"}}"#,
    br#"[[[[{}]]]]"#,
];

pub static YAML: [&[u8]; 6] = [
    b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: {x: 'y'}}\ndata:\n  k: |\n    two\n    lines\n  l: >-\n    folded\n    text\n",
    b"a: &x [1, 2]\nb: *x\nc: !!str 1\nd: 0644\ne: yes\nf: 1_000\ng: 0x1F\nh: .inf\ni: ~\n",
    b"---\na: 1\n---\n- x\n- y: {z: [1, {b: c}]}\n...\n",
    b"? complex key\n: value\n\"quoted \\u0041\": 'it''s'\n",
    b"base: &b {a: 1}\nx:\n  <<: *b\n  c: 2\n",
    b"k: 2026-01-01T00:00:00Z\nm: \"\\x41\\n\"\n# end",
];

pub static PATCHES: [&[u8]; 6] = [
    br#"[{"op":"add","path":"/metadata/labels/x","value":"y"},{"op":"remove","path":"/spec/containers/0/args"},{"op":"replace","path":"/spec/containers/0/image","value":"j"},{"op":"move","from":"/metadata/labels","path":"/metadata/annotations"},{"op":"copy","from":"/spec","path":"/spec2"},{"op":"test","path":"/kind","value":"Pod"}]"#,
    br#"{"metadata":{"labels":{"a":null,"b":"c"}},"spec":{"containers":[{"name":"d"}]}}"#,
    br#"{"spec":{"containers":[{"$patch":"delete","name":"c"},{"name":"n","image":"x"}],"$setElementOrder/containers":[{"name":"n"}]}}"#,
    br#"{"spec":{"$retainKeys":["containers"],"tolerations":[{"$patch":"replace"}],"$deleteFromPrimitiveList/finalizers":["a"]}}"#,
    br#"[{"op":"add","path":"/spec/containers/-","value":{"name":"z"}},{"op":"add","path":"/a~1b~0c","value":[]}]"#,
    br#"{"$patch":"replace","kind":"Pod"}"#,
];

pub static SELECTORS: [&[u8]; 6] = [
    b"a=b,c!=d,e in (f,g),h notin (i),j,!k",
    b"app.kubernetes.io/name == x , y>5, z<7",
    b"metadata.name=a,spec.nodeName!=b\\,c,status.phase==Running",
    b"x in ( , )",
    br#"{"matchLabels":{"a":"b"},"matchExpressions":[{"key":"k","operator":"In","values":["v"]},{"key":"l","operator":"DoesNotExist"}]}"#,
    b"",
];

pub static FIELD_SETS: [&[u8]; 3] = [
    br#"{"f:metadata":{"f:labels":{".":{},"f:a":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:image":{}}},"f:finalizers":{"v:\"x\"":{}}}}"#,
    br#"{"k:{\"port\":80,\"protocol\":\"TCP\"}":{},"i:3":{"f:x":{}}}"#,
    br#"{".":{},"f:":{},"v:null":{},"v:1.5":{},"k:{}":{}}"#,
];

pub static QUANTITIES: [&[u8]; 9] = [
    b"100m",
    b"1.5Gi",
    b"-3e-7",
    b"9223372036854775807",
    b"0.000000001n",
    b"+12E",
    b"1e3",
    b"2026-01-01T00:00:00.5+02:00",
    b"123456789012345678901234567890Ei",
];

pub static CEL: [&[u8]; 11] = [
    b"x.a.all(i, i > 0) && x.s.size() < 10 || has(x.m.k)",
    b"x.a.map(i, i * 2).filter(j, j > 2).exists_one(k, k == 4) ? 'yes' : \"no\"",
    b"x.s.matches('^[a-z]+$') && x.s.replace('e', 'ee').split('e').join('-').contains('t')",
    b"quantity('1Gi').add(quantity('1M')).isGreaterThan(quantity('1')) && url('https://a/b').getHost() == 'a'",
    b"duration('1h').getMinutes() + timestamp('2026-01-01T00:00:00Z').getFullYear() - int(x.f) / 2 % 3",
    b"cel.bind(v, [1, 2.0, 3u, b'x', null, {'a': 1}], v.size() == 6 && v[5].a == 1)",
    b"x.?m.?k.orValue('d') + '%s %d %.2f'.format(['a', 1, 2.5])",
    b"[3, 1, 2].sort().reverse().slice(0, 2).sum() + [[1], [2]].flatten()[0]",
    b"x.m.transformMap(k, v, v + '!').transformList(k, v, k != '', [k, v]).flatten().sort().last().optMap(l, l.size())",
    b"x.a.sortBy(i, -i).first().value() == 3 && x.a.all(i, v, lists.range(v).size() > i) && [x.?s].unwrapOpt() == ['text']",
    b"optional.of(1).hasValue() && ip('10.0.0.1').isGlobalUnicast() && cidr('10.0.0.0/8').containsIP('10.1.1.1')",
];

pub static SCHEMAS: [&[u8]; 2] = [
    br#"{"type":"object","required":["spec"],"properties":{"spec":{"type":"object","x-kubernetes-validations":[{"rule":"self.a > 0 && self.b.all(x, x != '')","message":"m"}],"properties":{"a":{"type":"integer","minimum":1,"maximum":5,"default":2},"b":{"type":"array","maxItems":5,"x-kubernetes-list-type":"set","items":{"type":"string","pattern":"^[a-z]*$","maxLength":9}},"c":{"type":"string","nullable":true,"enum":["x",null],"format":"date-time"}}},"status":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}"#,
    br#"{"type":"object","properties":{"spec":{"type":"object","additionalProperties":{"x-kubernetes-int-or-string":true,"anyOf":[{"type":"integer"},{"type":"string"}]}},"m":{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["k"],"items":{"type":"object","required":["k"],"properties":{"k":{"type":"string"}}}},"e":{"type":"object","x-kubernetes-embedded-resource":true,"x-kubernetes-preserve-unknown-fields":true},"o":{"type":"object","oneOf":[{"required":["a"]},{"not":{"required":["b"]}}]}}}"#,
];

static ENCODED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let pod = serde_json::from_slice(POD).unwrap();
    mainstay_api::protobuf::encode(&pod).unwrap()
});

pub static PROTOBUF: LazyLock<Vec<&'static [u8]>> =
    LazyLock::new(|| vec![ENCODED.as_slice(), b"k8s\0", b"k8s\0\x0a\x00\x12\xff\xff\xff\xff\x0f"]);
