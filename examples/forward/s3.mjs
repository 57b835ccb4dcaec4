// Orders to a bucket of S3, an object for a batch: node s3.mjs https://bucket.s3.eu-central-1.amazonaws.com/orders

import { AwsClient } from 'aws4fetch';
import { closeOnSignal, Evaq } from 'evaq';
import { forward } from 'evaq/forward';
import { s3Sink } from 'evaq/forward/s3';

const [, , url = 'https://bucket.s3.eu-central-1.amazonaws.com/orders'] = process.argv;
const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_REGION: region } = process.env;
if (!accessKeyId || !secretAccessKey) throw new Error('AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY say who asks');
const client = new AwsClient({ accessKeyId, secretAccessKey, region, service: 's3', retries: 0 });

// What is pushed is on disk when push resolves, whether the destination is there or not.
const evaq = await Evaq.open('./outbox');
for (const customer of ['ann', 'bob', 'ann']) {
  await evaq.wal.push(JSON.stringify({ customer }), { headers: { customer } });
}

// Few large objects: what comes in a minute is one. Here it is what is there.
const forwarding = forward(evaq.wal, s3Sink({ client, url }), {
  batch: { maxRecords: 50_000, maxBytes: 8 * 1024 * 1024, maxWaitMs: 100 },
  timeoutMs: 120_000,
});
closeOnSignal(evaq, forwarding);

// A service goes on for ever. This one ends when all of it has arrived.
await forwarding.drained();
const { delivered, deadLettered } = await forwarding.stats();
console.log(`arrived: ${delivered}, dead letters: ${deadLettered}`);
await forwarding.stop();
await evaq.close();
