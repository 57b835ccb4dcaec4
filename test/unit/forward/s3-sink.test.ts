/** The sink for S3, with a client that is made up; `test/forward/s3.test.ts` has aws4fetch. */
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { type S3ClientLike, type S3SinkOptions, s3Sink } from '../../../src/forward/s3.js';
import { CONTEXT, recordOf } from './sink-fixture.js';

function newClient(answer: () => { status: number; text?: string; retryAfter?: string } = () => ({ status: 200 })) {
  const put: { readonly url: string; readonly body: Buffer; readonly type: string | undefined }[] = [];
  const client: S3ClientLike = {
    fetch: async (url, { body, headers }) => {
      put.push({ url, body: Buffer.from(body), type: headers['content-type'] });
      const { status, text = '', retryAfter = null } = answer();
      return { status, headers: { get: () => retryAfter }, text: async () => text };
    },
  };
  return { client, put };
}

const URL_OF_BUCKET = 'http://b.example/in/';

async function deliver(client: S3ClientLike, ids: readonly number[], more: Partial<S3SinkOptions> = {}): Promise<void> {
  const records = ids.map((id) => recordOf(id, `p${id}`, { headers: { a: 'b' } }));
  await s3Sink({ client, url: URL_OF_BUCKET, ...more }).deliver(records, CONTEXT);
}

describe('s3Sink', () => {
  it('puts a batch as one object of lines, under a name that the same records have, and no others', async () => {
    const { client, put } = newClient();
    await deliver(client, [3, 4, 12]);
    await deliver(client, [3, 4, 12]);
    await deliver(client, [3, 5, 12]);
    await deliver(client, [3, 4, 12], { gzip: true });
    const [one, again, other, zipped] = put;
    expect(one?.url).toMatch(
      /^http:\/\/b\.example\/in\/s\/wal\/0000000000000003-0000000000000012-[0-9a-f]{12}\.ndjson$/,
    );
    expect(one?.type).toBe('application/x-ndjson');
    const lines = one?.body.toString().trimEnd().split('\n') ?? [];
    expect(lines.map((line) => JSON.parse(line))).toEqual(
      [3, 4, 12].map((id) => ({ id, deliveryId: `s:wal:${id}`, timestamp: 5, headers: { a: 'b' }, payload: `p${id}` })),
    );
    expect(again).toEqual(one);
    expect(other?.url).not.toBe(one?.url);
    expect(zipped?.url).toBe(`${one?.url}.gz`);
    expect(zipped?.type).toBe('application/gzip');
    expect(gunzipSync(zipped?.body ?? '')).toEqual(one?.body);
  });

  it('tells whose fault it is by the status and the code', async () => {
    const cases: [number, string, string][] = [
      [400, 'EntityTooLarge', 'rejected'],
      [413, '', 'rejected'],
      [403, 'AccessDenied', 'unauthorized'],
      [400, 'ExpiredToken', 'unauthorized'],
      [301, 'PermanentRedirect', 'unauthorized'],
      [404, 'NoSuchBucket', 'unavailable'],
      [400, 'RequestTimeout', 'unavailable'],
      [500, 'InternalError', 'unavailable'],
      [204, '', 'unavailable'],
    ];
    for (const [status, code, kind] of cases) {
      const text = code === '' ? '' : `<Error><Code>${code}</Code><Message>because</Message></Error>`;
      const { client } = newClient(() => ({ status, text }));
      const message = `HTTP ${status}${code === '' ? '' : `: ${code}: because`}`;
      await expect(deliver(client, [1, 2]), message).rejects.toMatchObject({ kind, message });
    }
    const { client } = newClient(() => ({ status: 503, retryAfter: '3' }));
    await expect(deliver(client, [1])).rejects.toMatchObject({ kind: 'unavailable', retryAfterMs: 3000 });
    const large = newClient(() => ({ status: 413 }));
    await expect(deliver(large.client, [1])).rejects.toMatchObject({ reason: 'too-large' });
  });

  it('nobody there, or no answer in time, is the destination’s fault', async () => {
    const gone = new TypeError('fetch failed', { cause: new Error('ECONNREFUSED') });
    const client: S3ClientLike = { fetch: () => Promise.reject(gone) };
    await expect(deliver(client, [1])).rejects.toMatchObject({ kind: 'unavailable', message: /ECONNREFUSED$/ });
    const never: S3ClientLike = { fetch: () => new Promise(() => undefined) };
    await expect(deliver(never, [1], { ackTimeoutMs: 5 })).rejects.toMatchObject({ kind: 'unavailable' });
  });

  it('says what is wrong with its options', () => {
    const { client } = newClient();
    const url = URL_OF_BUCKET;
    for (const options of [
      undefined,
      {},
      { client: {}, url },
      { client, url: 's3://bucket' },
      { client, url, gzip: 'yes' },
      { client, url, bucket: 'b' },
    ]) {
      expect(() => Reflect.apply(s3Sink, undefined, [options])).toThrow(TypeError);
    }
    expect(() => s3Sink({ client, url, ackTimeoutMs: 0 })).toThrow(RangeError);
  });
});
