import { createServer, type Server, type Socket } from 'node:net';
import { UserError } from '../../base/index.js';
import { reasonOf } from './image-file.js';

/**
 * A Unix domain socket as the outer end of a line to a guest: it takes one connection after the other. What the guest
 * sends while nobody is connected is lost, as on a cable that is not plugged in.
 */
export class LineSocket {
  readonly #server: Server;
  #connection: Socket | undefined;

  /**
   * Listens. `onInput` takes what is received; no more is read until its promise settles. `option` names in messages
   * where the path was given.
   *
   * @throws {UserError} `socket-unusable`
   */
  static async open(
    option: string,
    path: string,
    onInput: (bytes: Uint8Array) => Promise<void>,
  ): Promise<LineSocket> {
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => {
        const isTaken = 'code' in error && error.code === 'EADDRINUSE';
        const what = isTaken ? 'is there already' : `cannot be made: ${reasonOf(error)}`;
        reject(
          new UserError('socket-unusable', `${option} ${path}: ${what}; accepted: a path for a new socket`, {
            cause: error,
          }),
        );
      });
      server.listen(path, resolve);
    });
    return new LineSocket(server, onInput);
  }

  private constructor(server: Server, onInput: (bytes: Uint8Array) => Promise<void>) {
    this.#server = server;
    server.on('connection', (socket) => {
      // A line has two ends.
      if (this.#connection) {
        socket.destroy();
        return;
      }
      this.#connection = socket;
      socket.on('data', (bytes) => {
        socket.pause();
        void onInput(bytes).then(() => socket.resume());
      });
      // Reset by the other side; 'close' follows.
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#connection = undefined;
      });
    });
  }

  /** Sends `bytes`. A returned promise settles when the other side has caught up, or is gone. */
  write(bytes: Uint8Array): void | Promise<void> {
    const socket = this.#connection;
    if (!socket || socket.write(bytes)) return;
    return new Promise((resolve) => {
      const done = (): void => {
        socket.off('drain', done);
        socket.off('close', done);
        resolve();
      };
      socket.on('drain', done);
      socket.on('close', done);
    });
  }

  /** Ends the connection, after what was written, and removes the socket. */
  close(): void {
    this.#connection?.end();
    this.#server.close();
  }
}
