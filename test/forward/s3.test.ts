/**
 * The sink for S3, by aws4fetch: against a bucket of a server that speaks as S3 does, where `EVAQ_S3` is the bucket's URL, and otherwise against one of
 * the test's own, which looks at the signature as S3 does, and keeps what it is given.
 */
import { AwsClient } from 'aws4fetch';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { s3Sink } from '../../src/forward/s3.js';
import { BUCKET_KEYS, Bucket } from './bucket.js';
import { forwardThroughKill, lettersOf } from './forward-through-kill.js';

const KEYS = { ...BUCKET_KEYS, retries: 0 };
const OBJECT_BYTES_MAX = 20_000;
const real = process.env['EVAQ_S3'];

describe('a bucket', () => {
  const bucket = new Bucket(OBJECT_BYTES_MAX);
  let url = '';

  beforeAll(async () => {
    await bucket.start();
    url = real ?? `http://127.0.0.1:${bucket.port}/bucket`;
  });
  afterAll(() => bucket.kill());

  test.skipIf(real !== undefined)(
    'away in the middle: nothing is lost, what is there twice has the same deliveryId',
    async () => {
      const sink = s3Sink({ client: new AwsClient(KEYS), url });
      const { doubles } = await forwardThroughKill({ sink, server: bucket, arrived: async () => bucket.arrived() });
      // At most what was on its way, where it is cut otherwise into batches afterwards.
      expect(doubles).toBeLessThanOrEqual(80);
      // One record of a batch is more than the bucket takes.
      bucket.objects.clear();
      const letters = await lettersOf(sink, ['a', 'b', 'x'.repeat(OBJECT_BYTES_MAX), 'c']);
      expect(letters).toMatchObject([{ reason: 'too-large', cause: 'HTTP 400: EntityTooLarge: no' }]);
      expect(new Set(bucket.arrived().map(({ payload }) => payload.toString()))).toEqual(new Set(['a', 'b', 'c']));
    },
  );

  test('a batch is put, gzipped', async () => {
    expect(await lettersOf(s3Sink({ client: new AwsClient(KEYS), url, gzip: true }), ['a', 'b'])).toEqual([]);
  });

  test.skipIf(real !== undefined)('who signs with another key is not let in, and forwarding stops', async () => {
    const stranger = new AwsClient({ ...KEYS, secretAccessKey: 'another' });
    await expect(lettersOf(s3Sink({ client: stranger, url }), ['a'])).rejects.toMatchObject({ name: 'StopDelivery' });
  });
});
