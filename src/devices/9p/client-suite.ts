/** A client for tests of the server: builds requests, takes answers apart. */
import assert from 'node:assert/strict';
import { ERRNO } from '../../bus/index.js';
import { LERROR_REPLY, MessageReader, MessageWriter, REQUEST } from './message.js';
import type { NinePServer } from './server.js';

const ROOM = 1024 * 1024;

/** The server said no. */
export class Refusal extends Error {
  readonly errno: string;

  constructor(number: number) {
    const name = Object.entries(ERRNO).find(([, value]) => value === number)?.[0] ?? `${number}`;
    super(name);
    this.errno = name;
  }
}

export const READ_WRITE = 2;
export const CREATE = 0o100;
export const EXCLUSIVE = 0o200;

export class NinePClient {
  readonly #server: NinePServer;
  #tag = 0;
  room = ROOM;

  constructor(server: NinePServer) {
    this.#server = server;
  }

  /** One request. Returns what comes after the header of its answer, which must be the right one. */
  call(type: number, fields: (request: MessageWriter) => unknown = () => undefined): MessageReader {
    const tag = this.#tag++ & 0x7fff;
    const request = new MessageWriter(ROOM).u32(0).u8(type).u16(tag);
    fields(request);
    const bytes = this.#server.answer(request.finish(), this.room);
    assert.ok(bytes.length <= this.room);
    const reply = new MessageReader(bytes);
    assert.equal(reply.u32(), bytes.length, 'the length is that of the answer');
    const replyType = reply.u8();
    assert.equal(reply.u16(), tag, 'the tag is that of the request');
    if (replyType === LERROR_REPLY) throw new Refusal(reply.u32());
    assert.equal(replyType, type + 1);
    return reply;
  }

  /** Version and attach; the root is fid 0. */
  start(messageBytes = 128 * 1024): this {
    const version = this.call(REQUEST.VERSION, (request) => request.u32(messageBytes).string('9P2000.L'));
    assert.equal(version.u32(), Math.min(messageBytes, ROOM));
    assert.equal(version.string(), '9P2000.L');
    this.call(REQUEST.ATTACH, (request) =>
      request
        .u32(0)
        .u32(2 ** 32 - 1)
        .string('root')
        .string('')
        .u32(0),
    );
    return this;
  }

  /** Returns how many of the names were walked. */
  walk(from: number, to: number, ...names: readonly string[]): number {
    const reply = this.call(REQUEST.WALK, (request) => {
      request.u32(from).u32(to).u16(names.length);
      for (const name of names) request.string(name);
    });
    return reply.u16();
  }

  /** Walks all of it to a fid. */
  find(to: number, path: string): void {
    const names = path.split('/');
    if (this.walk(0, to, ...names) !== names.length) throw new Refusal(ERRNO.ENOENT);
  }

  open(fid: number, flags = 0): void {
    this.call(REQUEST.LOPEN, (request) => request.u32(fid).u32(flags));
  }

  create(fid: number, name: string, flags = READ_WRITE | CREATE, mode = 0o644): void {
    this.call(REQUEST.LCREATE, (request) => request.u32(fid).string(name).u32(flags).u32(mode).u32(0));
  }

  read(fid: number, offset = 0, count = 65536): string {
    const reply = this.call(REQUEST.READ, (request) => request.u32(fid).u64(offset).u32(count));
    return Buffer.from(reply.bytes(reply.u32())).toString('latin1');
  }

  write(fid: number, offset: number, text: string): number {
    return this.call(REQUEST.WRITE, (request) => {
      request.u32(fid).u64(offset).u32(text.length);
      for (const byte of Buffer.from(text, 'latin1')) request.u8(byte);
    }).u32();
  }

  /** Names, in as many requests as it takes. */
  list(fid: number, count = 4096): string[] {
    const names: string[] = [];
    for (let offset = 0n; ;) {
      const reply = this.call(REQUEST.READDIR, (request) => request.u32(fid).u64(offset).u32(count));
      const bytes = reply.bytes(reply.u32());
      if (bytes.length === 0) return names;
      const entries = new MessageReader(bytes);
      for (let at = 0; at < bytes.length;) {
        entries.bytes(13);
        offset = entries.u64();
        entries.u8();
        const name = entries.string();
        names.push(name);
        at += 24 + name.length;
      }
    }
  }

  getattr(fid: number): {
    qidType: number;
    id: bigint;
    mode: number;
    links: bigint;
    size: bigint;
    mtime: bigint;
  } {
    const reply = this.call(REQUEST.GETATTR, (request) => request.u32(fid).u64(0x7ff));
    assert.equal(reply.u64() & 0x7ffn, 0x7ffn);
    const qidType = reply.u8();
    reply.u32();
    const id = reply.u64();
    const mode = reply.u32();
    reply.bytes(8);
    const links = reply.u64();
    reply.u64();
    const size = reply.u64();
    reply.bytes(16 + 16);
    return { qidType, id, mode, links, size, mtime: reply.u64() };
  }

  setattr(fid: number, valid: number, fields: { mode?: number; size?: number; mtime?: number } = {}): void {
    const { mode = 0, size = 0, mtime = 0 } = fields;
    this.call(REQUEST.SETATTR, (request) =>
      request.u32(fid).u32(valid).u32(mode).u32(0).u32(0).u64(size).u64(0).u64(0).u64(mtime).u64(0),
    );
  }

  symlink(fid: number, name: string, target: string): void {
    this.call(REQUEST.SYMLINK, (request) => request.u32(fid).string(name).string(target).u32(0));
  }

  readlink(fid: number): string {
    return this.call(REQUEST.READLINK, (request) => request.u32(fid)).string();
  }

  mkdir(fid: number, name: string, mode = 0o755): void {
    this.call(REQUEST.MKDIR, (request) => request.u32(fid).string(name).u32(mode).u32(0));
  }

  renameat(from: number, oldName: string, to: number, newName: string): void {
    this.call(REQUEST.RENAMEAT, (request) => request.u32(from).string(oldName).u32(to).string(newName));
  }

  unlinkat(fid: number, name: string, flags = 0): void {
    this.call(REQUEST.UNLINKAT, (request) => request.u32(fid).string(name).u32(flags));
  }

  clunk(fid: number): void {
    this.call(REQUEST.CLUNK, (request) => request.u32(fid));
  }
}
