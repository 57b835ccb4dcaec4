/** s3://BUCKET/PREFIX?region=NAME&endpoint=URL: by `aws4fetch`, with the keys that stand in the environment as the tools of AWS have them. */
import { UsageError } from '../exit-code.js';
import { requiredPackage } from './client-package.js';
import type { Destination } from './destination.js';
import { decoded } from './url-parts.js';

const BATCH = { maxRecords: 50_000, maxBytes: 8 * 1024 * 1024 };
/** Objects are paid for by their number: what comes in so long is one. */
const GATHER_MS = 60_000;
const ACK_MS = 60_000;
const BATCH_MS = 180_000;

export const S3: Destination = {
  schemes: ['s3:'],
  form: 's3://BUCKET/PREFIX',
  options: ['region', 'endpoint', 'gzip'],
  async open(url, options, { follow }) {
    const { env } = process;
    const gzip = options.flag('gzip');
    const region = options.text('region') ?? env['AWS_REGION'] ?? env['AWS_DEFAULT_REGION'] ?? 'us-east-1';
    const endpoint = options.text('endpoint') ?? env['AWS_ENDPOINT_URL_S3'] ?? env['AWS_ENDPOINT_URL'];
    const folder = folderOf(url, region, endpoint);
    const accessKeyId = env['AWS_ACCESS_KEY_ID'];
    const secretAccessKey = env['AWS_SECRET_ACCESS_KEY'];
    if (accessKeyId === undefined || secretAccessKey === undefined) {
      throw new UsageError('--to s3:// needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment');
    }
    const sessionToken = env['AWS_SESSION_TOKEN'];
    const { AwsClient } = await requiredPackage<typeof import('aws4fetch')>('aws4fetch', '--to s3://');
    const client = new AwsClient({
      accessKeyId,
      secretAccessKey,
      service: 's3',
      region,
      // What is sent again the queue decides.
      retries: 0,
      ...(sessionToken === undefined ? {} : { sessionToken }),
    });
    const { s3Sink } = await import('../../forward/s3.js');
    return {
      sink: s3Sink({ client, url: folder, gzip, ackTimeoutMs: ACK_MS }),
      batch: { ...BATCH, maxWaitMs: follow ? GATHER_MS : 0 },
      timeoutMs: BATCH_MS,
      close: async () => undefined,
    };
  },
};

/** With an endpoint the bucket stands in the path; without one it is the host, unless its name has dots, which no certificate of AWS covers. */
function folderOf({ hostname: bucket, pathname }: URL, region: string, endpoint: string | undefined): string {
  if (bucket === '') throw new UsageError('--to s3://BUCKET/PREFIX: the bucket is missing');
  // What signs a request reads it again.
  decoded(pathname);
  if (endpoint !== undefined) {
    if (!/^https?:$/.test(URL.canParse(endpoint) ? new URL(endpoint).protocol : '')) {
      throw new UsageError(`--to s3://: the endpoint must be an http or https URL, got '${endpoint}'`);
    }
    return `${endpoint.replace(/\/+$/, '')}/${bucket}${pathname}`;
  }
  if (bucket.includes('.')) return `https://s3.${region}.amazonaws.com/${bucket}${pathname}`;
  return `https://${bucket}.s3.${region}.amazonaws.com${pathname}`;
}
