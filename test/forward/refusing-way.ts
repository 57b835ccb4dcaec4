/**
 * The way to a Kafka broker, on which the answer to some produce requests becomes a refusal: those that hold a marker, with the error code that it names.
 * The broker has taken them; the client is told that it has not.
 */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

const PRODUCE = 0;

export class RefusingWay {
  readonly #server: Server;
  readonly #port: number;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.#port = port;
  }

  /** A payload that holds it is refused. */
  static marker(code: number): string {
    return `refuse-with-${String(code).padStart(3, '0')}`;
  }

  static async to(target: number): Promise<RefusingWay> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new TypeError('no port');
    const way = new RefusingWay(server, address.port);
    server.on('connection', (near) => way.#join(near, connect(target, '127.0.0.1')));
    return way;
  }

  connect(onConnect: () => void): Socket {
    return connect(this.#port, '127.0.0.1', onConnect);
  }

  async end(): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, 'close');
  }

  #join(near: Socket, far: Socket): void {
    /** By correlation ID, what the answer to it is to say. */
    const refusals = new Map<number, number>();
    for (const socket of [near, far]) {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        near.destroy();
        far.destroy();
      });
    }
    eachFrame(near, (frame) => {
      const code = /refuse-with-(\d{3})/.exec(frame.toString('latin1'))?.[1];
      if (code !== undefined && frame.readInt16BE(4) === PRODUCE) refusals.set(frame.readInt32BE(8), Number(code));
      far.write(frame);
    });
    eachFrame(far, (frame) => {
      const code = refusals.get(frame.readInt32BE(4));
      if (code !== undefined) refuse(frame, code);
      near.write(frame);
    });
  }
}

/** Size, and so many bytes. */
function eachFrame(socket: Socket, take: (frame: Buffer) => void): void {
  let rest: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 4 && rest.length >= 4 + rest.readInt32BE(0)) {
      const end = 4 + rest.readInt32BE(0);
      take(Buffer.from(rest.subarray(0, end)));
      rest = rest.subarray(end);
    }
  });
}

/** Of an answer to Produce: an array of topics, each with its name and an array of partitions: index, error code, offset … */
function refuse(frame: Buffer, code: number): void {
  const PARTITION_BYTES = 30;
  let at = 8;
  const topics = frame.readInt32BE(at);
  at += 4;
  for (let topic = 0; topic < topics; topic++) {
    at += 2 + frame.readInt16BE(at);
    const partitions = frame.readInt32BE(at);
    at += 4;
    for (let partition = 0; partition < partitions; partition++, at += PARTITION_BYTES)
      frame.writeInt16BE(code, at + 4);
  }
}
