// Lists, writes and watches with @kubernetes/client-node; the test reads the last line.
import { createRequire } from 'node:module';

const require = createRequire(`${process.env.MAINSTAY_NODE_CLIENT}/package.json`);
const k8s = require('@kubernetes/client-node');

const config = new k8s.KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(k8s.CoreV1Api);
const apps = config.makeApiClient(k8s.AppsV1Api);
const namespace = 'default';

const nodes = await core.listNode();
if (nodes.items.length !== 2) throw new Error(`${nodes.items.length} nodes`);

const labels = { app: 'node' };
await apps.createNamespacedDeployment({
  namespace,
  body: {
    metadata: { name: 'node' },
    spec: {
      replicas: 2,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'web', image: 'registry.local/web:1' }] } },
    },
  },
});
const ready = async () => (await apps.readNamespacedDeployment({ name: 'node', namespace })).status?.readyReplicas;
const until = Date.now() + 60_000;
while ((await ready()) !== 2) {
  if (Date.now() > until) throw new Error('the deployment is not ready');
  await new Promise((resolve) => setTimeout(resolve, 200));
}

const start = (await core.listNamespacedConfigMap({ namespace })).metadata.resourceVersion;
const kinds = [];
let finish;
const done = new Promise((resolve, reject) => {
  finish = resolve;
  setTimeout(() => reject(new Error(`only ${kinds}`)), 60_000).unref();
});
const watch = new k8s.Watch(config);
const request = await watch.watch(
  `/api/v1/namespaces/${namespace}/configmaps`,
  { resourceVersion: start },
  (kind, object) => {
    if (object.metadata?.name !== 'node') return;
    kinds.push(kind);
    if (kind === 'DELETED') finish();
  },
  () => {},
);
const name = 'node';
await core.createNamespacedConfigMap({ namespace, body: { metadata: { name } } });
await core.patchNamespacedConfigMap(
  { name, namespace, body: { data: { a: '1' } } },
  k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.MergePatch),
);
await core.deleteNamespacedConfigMap({ name, namespace });
await done;
request.abort();
try {
  await core.readNamespacedConfigMap({ name, namespace });
  throw new Error('it is still there');
} catch (error) {
  if (error.code !== 404) throw error;
}
console.log('seen:', ...kinds);
