/**
 * One TCP connection of a guest, as its peer (RFC 9293), with a socket of the host's behind it: what the guest sends goes
 * to the socket, what the socket gets goes to the guest.
 *
 * Back-pressure goes through in both directions. The window that the guest sees is the room that is left before the
 * socket holds back too much; the socket is paused while the guest's window is full. Segments are made when the wire
 * has room for one (`next`), so acknowledgments of a burst are one, and nothing waits on the wire.
 *
 * @deviation There is no congestion control: a wire to a guest in the same process has no congestion. No SACK, no
 * timestamps, no urgent data.
 */
import type { SocketFailure, StreamEvents, StreamSocket } from '../bus/index.js';
import { RingBuffer } from './ring-buffer.js';
import { distance, FLAG, type TcpSegment } from './tcp-segment.js';

/** Payload of a frame of 1,500 bytes: what we take in one segment. */
const OWN_MSS_BYTES = 1460;
/** RFC 9293 3.7.1: where the peer says nothing; and the least that we believe. */
const DEFAULT_MSS_BYTES = 536;
const MIN_MSS_BYTES = 64;
/** For windows of up to 1 MiB. */
const OWN_WINDOW_SHIFT = 4;
const MAX_PLAIN_WINDOW = 65_535;

/** RFC 6298, but for the minimum: a guest answers at once. */
const INITIAL_RTO_NS = 1e9;
const MIN_RTO_NS = 200e6;
const MAX_RTO_NS = 60e9;
/** Asked for a connection, the guest may still be booting. */
const MAX_SYN_RTO_NS = 4e9;
const SYN_LIFETIME_NS = 75e9;
/** Attempts in vain, each after twice the time, before a connection is given up (RFC 9293 3.8.3). */
const MAX_ATTEMPTS = 10;
/** RFC 5681 3.2 */
const DUPLICATE_ACKS = 3;
/** Twice what a segment may live, on a wire where it lives for no time. */
const TIME_WAIT_NS = 10e9;
/** Segments out of order, and acknowledgments owed. */
const MAX_OUT_OF_ORDER = 256;
const MAX_ACKS_DUE = 16;

type State =
  /** The guest asks for a connection, the host's socket is under way. */
  | 'connecting'
  /** The guest is asked. */
  | 'syn-sent'
  | 'syn-received'
  /** From ESTABLISHED on, until both sides have ended. */
  | 'open'
  | 'time-wait'
  | 'closed';

/** What a connection needs of its surroundings. */
export interface TcpConnectionPorts {
  nowNs(): number;
  /** Bytes that may wait in each direction. */
  bufferBytes(): number;
  /** `next` may have something. */
  ready(): void;
  /** `deadlineNs` has changed. */
  deadlineChanged(): void;
  /** The guest is to be told that there is no such connection. */
  sendReset(sequence: number, acknowledgment?: number): void;
  /** The connection is over. */
  closed(): void;
  /** Nobody was there to connect to: before the guest was told anything else. */
  unreachable(failure: SocketFailure): void;
}

/** A segment to be sent: its header, and how much payload `copyPayload` has for it. */
export interface TcpOutput {
  readonly sequence: number;
  readonly acknowledgment: number;
  readonly flags: number;
  readonly window: number;
  readonly maxSegmentBytes: number | undefined;
  readonly windowShift: number | undefined;
  readonly payloadBytes: number;
  /** Of the payload in what is not acknowledged. */
  readonly payloadOffset: number;
}

interface OutOfOrder {
  readonly sequence: number;
  readonly payload: Uint8Array;
}

export class TcpConnection implements StreamEvents {
  readonly #ports: TcpConnectionPorts;
  #state: State;
  #socket: StreamSocket | undefined;
  /** When `timer` wants to be called. */
  deadlineNs = Infinity;

  // To the guest. Names are those of RFC 9293 3.3.1.
  readonly #initialSequence: number;
  /** Oldest sequence number that isn't acknowledged; `#unsent` begins there once the guest knows us. */
  #sendUnacknowledged: number;
  #sendNext: number;
  /** One behind everything that was ever sent. */
  #sendMax: number;
  #sendWindow = 0;
  /** Sequence and acknowledgment of the segment that the window is from. */
  #windowSequence = 0;
  #windowAcknowledgment = 0;
  #maxSendWindow = 0;
  #sendShift = 0;
  #maxSegmentBytes = DEFAULT_MSS_BYTES;
  readonly #buffer = new RingBuffer();
  #isPaused = false;
  /** The socket's peer has ended: a FIN comes behind the buffer. */
  #hasEnded = false;
  #hasSentFin = false;
  #isFinAcknowledged = false;
  /** The first to end waits at the end (RFC 9293 3.6). */
  #endedFirst = false;

  // Retransmission.
  #rtoNs = INITIAL_RTO_NS;
  /** Round trips so far; undefined before the first. */
  #smoothedNs: number | undefined;
  #variationNs = 0;
  #timed: { readonly sequence: number; readonly sentNs: number } | undefined;
  #attempts = 0;
  #startedNs: number;
  #duplicateAcks = 0;
  /** Fast recovery lasts until everything before is acknowledged. */
  #recoverUntil: number | undefined;
  #isRetransmitDue = false;
  /** After a timeout one segment goes out whatever the window is, and no other until it is acknowledged. */
  #probe: 'none' | 'due' | 'sent' = 'none';

  // From the guest.
  #receiveNext = 0;
  /** End of the window that the guest knows of. */
  #receiveEdge = 0;
  #hasScaling = false;
  #outOfOrder: OutOfOrder[] = [];
  /** Where the guest's FIN is, once it has been seen. */
  #finAt: number | undefined;
  #isGuestDone = false;
  #acksDue = 0;
  /** What the host hadn't taken when the wait at the end began. */
  #lingeringBytes = 0;

  private constructor(ports: TcpConnectionPorts, initialSequence: number, state: State) {
    this.#ports = ports;
    this.#state = state;
    this.#initialSequence = initialSequence >>> 0;
    this.#sendUnacknowledged = this.#initialSequence;
    this.#sendNext = this.#initialSequence;
    this.#sendMax = this.#initialSequence;
    this.#startedNs = ports.nowNs();
  }

  /** For a SYN of the guest. `connect` opens the socket to where it wants to go. */
  static accept(
    ports: TcpConnectionPorts,
    initialSequence: number,
    syn: TcpSegment,
    connect: (events: StreamEvents) => StreamSocket,
  ): TcpConnection {
    const connection = new TcpConnection(ports, initialSequence, 'connecting');
    connection.#takeOptions(syn);
    connection.#socket = connect(connection);
    return connection;
  }

  /** For somebody who has connected to the host's `socket` and wants to go to the guest. */
  static open(ports: TcpConnectionPorts, initialSequence: number, socket: StreamSocket): TcpConnection {
    const connection = new TcpConnection(ports, initialSequence, 'syn-sent');
    connection.#socket = socket;
    connection.#isPaused = true;
    socket.pause();
    ports.ready();
    return connection;
  }

  get isClosed(): boolean {
    return this.#state === 'closed';
  }

  /** Nothing is left to do but to wait. */
  get isTimeWait(): boolean {
    return this.#state === 'time-wait';
  }

  /** A new connection may take this one's place (RFC 9293 3.10.7.4, of TIME-WAIT). */
  canGiveWayTo(syn: TcpSegment): boolean {
    return this.isTimeWait && distance(syn.sequence, this.#receiveNext) > 0;
  }

  /** The guest is known now, where it wasn't: no need to wait for the timer. */
  retrySyn(): void {
    if (this.#state !== 'syn-sent') return;
    this.#sendNext = this.#initialSequence;
    this.#ports.ready();
  }

  /** Breaks the connection off on the host's side; the guest isn't told. */
  abort(): void {
    if (this.#state === 'closed') return;
    this.#socket?.abort();
    this.#close();
  }

  // From the socket.

  connected(): void {
    if (this.#state !== 'connecting') return;
    this.#state = 'syn-received';
    this.#ports.ready();
  }

  data(bytes: Uint8Array): void {
    if (this.#state === 'closed' || this.#state === 'time-wait') return;
    this.#buffer.push(bytes);
    if (this.#buffer.length >= this.#ports.bufferBytes()) this.#pause();
    this.#ports.ready();
  }

  ended(): void {
    if (this.#state === 'closed' || this.#state === 'time-wait') return;
    this.#hasEnded = true;
    this.#ports.ready();
  }

  drained(): void {
    if (this.#state === 'time-wait' && this.#endedFirst) return;
    if (this.#state === 'time-wait') this.#close();
    else if (this.#state === 'open' && this.#edgeMoves()) this.#acknowledge();
  }

  failed(failure: SocketFailure): void {
    const state = this.#state;
    if (state === 'closed') return;
    this.#close();
    if (state === 'connecting') this.#ports.unreachable(failure);
    else if (state !== 'time-wait') this.#ports.sendReset(this.#sendNext, this.#receiveNext);
  }

  // From the guest.

  receive(segment: TcpSegment): void {
    switch (this.#state) {
      case 'connecting':
        // SYNs are repeated while the host is at it.
        if ((segment.flags & FLAG.RST) !== 0) this.abort();
        return;
      case 'syn-sent':
        this.#receiveAnswer(segment);
        return;
      case 'syn-received':
      case 'open':
      case 'time-wait':
        this.#receiveInOrder(segment);
        return;
      case 'closed':
        return;
    }
  }

  /** Called when `deadlineNs` has come. */
  timer(): void {
    if (this.#state === 'time-wait') {
      // A slow host still gets what the guest has sent, one that takes nothing doesn't.
      const pendingBytes = this.#socket?.pendingBytes ?? 0;
      if (pendingBytes > 0 && pendingBytes < this.#lingeringBytes) this.#waitAnew();
      else this.abort();
      return;
    }
    this.#attempts++;
    const isSynSent = this.#state === 'syn-sent';
    const isLost = isSynSent
      ? this.#ports.nowNs() - this.#startedNs >= SYN_LIFETIME_NS
      : this.#attempts > MAX_ATTEMPTS;
    if (isLost) {
      const [sequence, acknowledgment] = [this.#sendNext, this.#receiveNext];
      this.abort();
      this.#ports.sendReset(sequence, acknowledgment);
      return;
    }
    this.#rtoNs = Math.min(this.#rtoNs * 2, isSynSent ? MAX_SYN_RTO_NS : MAX_RTO_NS);
    this.#timed = undefined;
    this.#recoverUntil = undefined;
    this.#duplicateAcks = 0;
    this.#isRetransmitDue = false;
    this.#sendNext = this.#sendUnacknowledged;
    this.#probe = 'due';
    this.#setDeadline(this.#ports.nowNs() + this.#rtoNs);
    this.#ports.ready();
  }

  /**
   * The next segment for the guest, with at most `maxPayloadBytes`, which may be many times what the guest takes in
   * one: see `maxSegmentBytes`. Undefined when there is nothing to be sent now.
   */
  next(maxPayloadBytes: number): TcpOutput | undefined {
    switch (this.#state) {
      case 'syn-sent':
      case 'syn-received':
        return this.#nextSyn();
      case 'open':
        return this.#nextData(maxPayloadBytes) ?? this.#nextAck();
      case 'time-wait':
        return this.#nextAck();
      case 'connecting':
      case 'closed':
        return undefined;
    }
  }

  /** Payload that the guest takes in one segment. */
  get maxSegmentBytes(): number {
    return this.#maxSegmentBytes;
  }

  copyPayload({ payloadOffset }: TcpOutput, into: Uint8Array): void {
    this.#buffer.copy(payloadOffset, into);
  }

  // Sending.

  #nextSyn(): TcpOutput | undefined {
    if (this.#sendNext !== this.#initialSequence) return undefined;
    const isAnswer = this.#state === 'syn-received';
    this.#probe = 'none';
    this.#sentUpTo((this.#initialSequence + 1) >>> 0);
    return {
      sequence: this.#initialSequence,
      acknowledgment: isAnswer ? this.#receiveNext : 0,
      flags: FLAG.SYN | (isAnswer ? FLAG.ACK : 0),
      // Windows of SYNs are not scaled (RFC 7323 2.2).
      window: Math.min(MAX_PLAIN_WINDOW, isAnswer ? this.#announcedWindow() : this.#ports.bufferBytes()),
      maxSegmentBytes: OWN_MSS_BYTES,
      windowShift: isAnswer && !this.#hasScaling ? undefined : OWN_WINDOW_SHIFT,
      payloadBytes: 0,
      payloadOffset: 0,
    };
  }

  #nextData(maxPayloadBytes: number): TcpOutput | undefined {
    const buffered = this.#buffer.length;
    const inFlight = distance(this.#sendNext, this.#sendUnacknowledged);
    if (this.#isRetransmitDue) {
      this.#isRetransmitDue = false;
      this.#timed = undefined;
      return this.#output(0, Math.min(buffered, maxPayloadBytes, inFlight));
    }
    if (this.#probe === 'sent') return undefined;
    // A FIN that was sent counts, but isn't in the buffer.
    const available = Math.max(0, buffered - inFlight);
    const room = Math.max(this.#sendWindow - inFlight, this.#probe === 'due' ? 1 : 0);
    const most = this.#probe === 'due' ? this.#maxSegmentBytes : Infinity;
    const payloadBytes = Math.max(0, Math.min(available, room, maxPayloadBytes, most));
    const isFinNext = this.#hasEnded && payloadBytes === available && inFlight <= buffered;
    if (payloadBytes === 0 && !isFinNext) {
      this.#watchWindow(available);
      return undefined;
    }
    // RFC 9293 3.8.6.2.1: no small segments while others are under way, but for the last one.
    const isWorthIt =
      isFinNext ||
      payloadBytes === available ||
      payloadBytes >= Math.min(this.#maxSegmentBytes, this.#maxSendWindow / 2) ||
      inFlight === 0;
    if (!isWorthIt) return undefined;
    if (this.#probe === 'due') this.#probe = 'sent';
    // What is sent again must not be measured (RFC 6298 3).
    const isNew = this.#sendNext === this.#sendMax;
    const output = this.#output(inFlight, payloadBytes);
    if (isNew) this.#timed ??= { sequence: this.#sendNext, sentNs: this.#ports.nowNs() };
    return output;
  }

  /** A segment from the buffer; with a FIN where that comes next. */
  #output(payloadOffset: number, payloadBytes: number): TcpOutput {
    const isLast = payloadOffset + payloadBytes === this.#buffer.length;
    const isFin = this.#hasEnded && isLast;
    if (isFin && !this.#hasSentFin) {
      this.#hasSentFin = true;
      this.#endedFirst = !this.#isGuestDone;
    }
    const sequence = (this.#sendUnacknowledged + payloadOffset) >>> 0;
    const flags = FLAG.ACK | (isFin ? FLAG.FIN : 0) | (isLast && payloadBytes > 0 ? FLAG.PSH : 0);
    this.#acksDue = 0;
    this.#sentUpTo((sequence + payloadBytes + (isFin ? 1 : 0)) >>> 0);
    return this.#header(sequence, flags, payloadOffset, payloadBytes);
  }

  #nextAck(): TcpOutput | undefined {
    if (this.#acksDue === 0) return undefined;
    this.#acksDue--;
    return this.#header(this.#sendMax, FLAG.ACK, 0, 0);
  }

  #header(sequence: number, flags: number, payloadOffset: number, payloadBytes: number): TcpOutput {
    return {
      sequence,
      acknowledgment: this.#receiveNext,
      flags,
      window: Math.min(MAX_PLAIN_WINDOW, this.#announcedWindow() >>> this.#receiveShift),
      maxSegmentBytes: undefined,
      windowShift: undefined,
      payloadBytes,
      payloadOffset,
    };
  }

  #sentUpTo(end: number): void {
    if (distance(end, this.#sendNext) > 0) this.#sendNext = end;
    if (distance(end, this.#sendMax) > 0) this.#sendMax = end;
    if (this.deadlineNs === Infinity) this.#setDeadline(this.#ports.nowNs() + this.#rtoNs);
  }

  /** Nothing can be sent: the timer sends a probe if the window never opens (RFC 9293 3.8.6.1). */
  #watchWindow(available: number): void {
    if (available > 0 && this.deadlineNs === Infinity) this.#setDeadline(this.#ports.nowNs() + this.#rtoNs);
  }

  #setDeadline(deadlineNs: number): void {
    this.deadlineNs = deadlineNs;
    if (deadlineNs < Infinity) this.#ports.deadlineChanged();
  }

  #acknowledge(): void {
    this.#acksDue = Math.max(1, this.#acksDue);
    this.#ports.ready();
  }

  /** One more acknowledgment, that the guest counts. */
  #acknowledgeAgain(): void {
    this.#acksDue = Math.min(MAX_ACKS_DUE, this.#acksDue + 1);
    this.#ports.ready();
  }

  // The window for the guest.

  get #receiveShift(): number {
    return this.#hasScaling ? OWN_WINDOW_SHIFT : 0;
  }

  /** Where the window could end now. */
  #possibleEdge(): number {
    const most = this.#hasScaling ? MAX_PLAIN_WINDOW << OWN_WINDOW_SHIFT : MAX_PLAIN_WINDOW;
    const room = Math.min(most, this.#ports.bufferBytes() - (this.#socket?.pendingBytes ?? 0));
    return (this.#receiveNext + Math.max(0, room)) >>> 0;
  }

  /** The window would grow by enough to tell the guest (RFC 9293 3.8.6.2.2). */
  #edgeMoves(): boolean {
    const least = Math.min(this.#ports.bufferBytes() / 2, 2 * OWN_MSS_BYTES);
    return distance(this.#possibleEdge(), this.#receiveEdge) >= least;
  }

  /** The window as the guest is to know it, which never takes back what was promised. */
  #announcedWindow(): number {
    if (this.#edgeMoves()) this.#receiveEdge = this.#possibleEdge();
    return Math.max(0, distance(this.#receiveEdge, this.#receiveNext));
  }

  // Receiving.

  #takeOptions(syn: TcpSegment): void {
    this.#maxSegmentBytes = Math.max(
      MIN_MSS_BYTES,
      Math.min(OWN_MSS_BYTES, syn.maxSegmentBytes ?? DEFAULT_MSS_BYTES),
    );
    this.#hasScaling = syn.windowShift !== undefined;
    this.#sendShift = syn.windowShift ?? 0;
    this.#receiveNext = (syn.sequence + 1) >>> 0;
    this.#receiveEdge = (this.#receiveNext + Math.min(MAX_PLAIN_WINDOW, this.#ports.bufferBytes())) >>> 0;
    this.#sendWindow = syn.window;
    this.#maxSendWindow = syn.window;
    this.#windowSequence = syn.sequence;
    this.#windowAcknowledgment = syn.acknowledgment;
  }

  /** RFC 9293 3.10.7.3 */
  #receiveAnswer(segment: TcpSegment): void {
    const { flags, acknowledgment } = segment;
    const isOurs = (flags & FLAG.ACK) !== 0 && acknowledgment === (this.#initialSequence + 1) >>> 0;
    if ((flags & FLAG.ACK) !== 0 && !isOurs) {
      if ((flags & FLAG.RST) === 0) this.#ports.sendReset(acknowledgment);
      return;
    }
    if ((flags & FLAG.RST) !== 0) {
      if (isOurs) this.abort();
      return;
    }
    if ((flags & FLAG.SYN) === 0) return;
    this.#takeOptions(segment);
    if (isOurs) {
      this.#becomeOpen(acknowledgment);
      this.#acknowledge();
    } else {
      // Both sides ask at once.
      this.#state = 'syn-received';
      this.#sendNext = this.#initialSequence;
      this.#ports.ready();
    }
  }

  #becomeOpen(acknowledgment: number): void {
    this.#state = 'open';
    this.#sendUnacknowledged = acknowledgment;
    this.#sendNext = acknowledgment;
    this.#sendMax = acknowledgment;
    this.#attempts = 0;
    this.#rtoNs = INITIAL_RTO_NS;
    this.#setDeadline(Infinity);
    this.#resumeIfRoom();
    this.#ports.ready();
  }

  /** RFC 9293 3.10.7.4, with RFC 5961's caution about RST and SYN. */
  #receiveInOrder(segment: TcpSegment): void {
    const { flags, sequence, payload } = segment;
    const window = Math.max(0, distance(this.#receiveEdge, this.#receiveNext));
    const from = distance(sequence, this.#receiveNext);
    const length = payload.length + ((flags & FLAG.SYN) !== 0 ? 1 : 0) + ((flags & FLAG.FIN) !== 0 ? 1 : 0);
    const isAcceptable =
      length === 0
        ? from === 0 || (from > 0 && from < window)
        : window > 0 && from < window && from + length > 0;
    if (!isAcceptable) {
      const isSynAgain = this.#state === 'syn-received' && (flags & FLAG.SYN) !== 0 && from === -1;
      if (isSynAgain) {
        this.#sendNext = this.#initialSequence;
        this.#ports.ready();
      } else if ((flags & FLAG.RST) === 0) {
        if (this.#state === 'time-wait') this.#waitAnew();
        // A full window doesn't keep acknowledgments out.
        if (from === 0 && (flags & (FLAG.ACK | FLAG.SYN)) === FLAG.ACK) this.#takeAcknowledgment(segment);
        if (this.#state !== 'closed') this.#acknowledgeAgain();
      }
      return;
    }
    if ((flags & FLAG.RST) !== 0) {
      if (from === 0) this.abort();
      else this.#acknowledgeAgain();
      return;
    }
    if ((flags & FLAG.SYN) !== 0) {
      this.#acknowledgeAgain();
      return;
    }
    if ((flags & FLAG.ACK) === 0 || !this.#takeAcknowledgment(segment)) return;
    if (this.#state !== 'open') return;
    this.#takePayload(segment, from);
  }

  /** Returns whether the rest of the segment is to be looked at. */
  #takeAcknowledgment(segment: TcpSegment): boolean {
    const { acknowledgment } = segment;
    if (this.#state === 'syn-received') {
      if (acknowledgment !== (this.#initialSequence + 1) >>> 0) {
        this.#ports.sendReset(acknowledgment);
        return false;
      }
      this.#becomeOpen(acknowledgment);
    }
    if (this.#state !== 'open') return true;
    if (distance(acknowledgment, this.#sendMax) > 0) {
      this.#acknowledgeAgain();
      return false;
    }
    const acknowledged = distance(acknowledgment, this.#sendUnacknowledged);
    const window = segment.window * 2 ** this.#sendShift;
    const isDuplicate =
      acknowledged === 0 &&
      segment.payload.length === 0 &&
      (segment.flags & FLAG.FIN) === 0 &&
      window === this.#sendWindow &&
      window > 0 &&
      this.#sendMax !== this.#sendUnacknowledged;
    if (acknowledged >= 0) this.#takeWindow(segment, window);
    if (acknowledged > 0) this.#advance(acknowledgment, acknowledged);
    else if (isDuplicate) this.#countDuplicate();
    this.#ports.ready();
    return true;
  }

  #takeWindow({ sequence, acknowledgment }: TcpSegment, window: number): void {
    const later = distance(sequence, this.#windowSequence);
    if (later < 0 || (later === 0 && distance(acknowledgment, this.#windowAcknowledgment) < 0)) return;
    const wasShut = this.#sendWindow === 0;
    this.#sendWindow = window;
    this.#maxSendWindow = Math.max(this.#maxSendWindow, window);
    this.#windowSequence = sequence;
    this.#windowAcknowledgment = acknowledgment;
    // The guest lives, though its window is shut: probes may go on for ever.
    if (window === 0) this.#attempts = 0;
    if (!wasShut || window === 0) return;
    // What a probe had is sent again with the rest.
    this.#sendNext = this.#sendUnacknowledged;
    this.#probe = 'none';
    this.#rtoNs = this.#estimatedRtoNs();
    this.#setDeadline(Infinity);
  }

  #advance(acknowledgment: number, count: number): void {
    const nowNs = this.#ports.nowNs();
    const data = Math.min(count, this.#buffer.length);
    this.#buffer.discard(data);
    if (count > data) this.#isFinAcknowledged = true;
    this.#sendUnacknowledged = acknowledgment;
    if (distance(this.#sendNext, acknowledgment) < 0) this.#sendNext = acknowledgment;
    if (this.#timed && distance(acknowledgment, this.#timed.sequence) >= 0) {
      this.#measure(nowNs - this.#timed.sentNs);
      this.#timed = undefined;
    }
    this.#attempts = 0;
    this.#duplicateAcks = 0;
    this.#probe = 'none';
    this.#rtoNs = this.#estimatedRtoNs();
    if (this.#recoverUntil !== undefined) {
      if (distance(this.#recoverUntil, acknowledgment) > 0) this.#isRetransmitDue = true;
      else this.#recoverUntil = undefined;
    }
    this.#setDeadline(this.#sendMax === acknowledgment ? Infinity : nowNs + this.#rtoNs);
    this.#resumeIfRoom();
    if (this.#isFinAcknowledged && this.#isGuestDone) this.#finish();
  }

  #countDuplicate(): void {
    this.#duplicateAcks++;
    if (this.#duplicateAcks !== DUPLICATE_ACKS || this.#recoverUntil !== undefined) return;
    this.#recoverUntil = this.#sendMax;
    this.#isRetransmitDue = true;
  }

  /** RFC 6298 2 */
  #measure(roundTripNs: number): void {
    if (this.#smoothedNs === undefined) {
      this.#smoothedNs = roundTripNs;
      this.#variationNs = roundTripNs / 2;
    } else {
      this.#variationNs += (Math.abs(this.#smoothedNs - roundTripNs) - this.#variationNs) / 4;
      this.#smoothedNs += (roundTripNs - this.#smoothedNs) / 8;
    }
  }

  #estimatedRtoNs(): number {
    if (this.#smoothedNs === undefined) return INITIAL_RTO_NS;
    return Math.min(MAX_RTO_NS, Math.max(MIN_RTO_NS, this.#smoothedNs + 4 * this.#variationNs));
  }

  #takePayload({ sequence, payload, flags }: TcpSegment, from: number): void {
    const window = Math.max(0, distance(this.#receiveEdge, this.#receiveNext));
    // What lies before was there already, what lies beyond wasn't asked for.
    const piece = payload.subarray(Math.max(0, -from), Math.max(0, window - from));
    const hasAll = from + payload.length <= window;
    if ((flags & FLAG.FIN) !== 0 && hasAll) this.#finAt ??= (sequence + payload.length) >>> 0;
    if (piece.length > 0) {
      if (from <= 0) this.#deliver(piece);
      else this.#keep(sequence, piece);
    }
    if (from > 0) this.#acknowledgeAgain();
    else if (payload.length > 0 || (flags & FLAG.FIN) !== 0) this.#acknowledge();
    if (this.#finAt === this.#receiveNext && !this.#isGuestDone) {
      this.#receiveNext = (this.#receiveNext + 1) >>> 0;
      this.#isGuestDone = true;
      this.#outOfOrder = [];
      this.#socket?.end();
      this.#acknowledge();
      if (this.#isFinAcknowledged) this.#finish();
    }
  }

  /** Bytes in order, and those that were kept and follow on. */
  #deliver(piece: Uint8Array): void {
    if (this.#isGuestDone) return;
    this.#write(piece);
    while (this.#outOfOrder.length > 0) {
      const [{ sequence, payload }] = this.#outOfOrder as [OutOfOrder];
      const known = distance(this.#receiveNext, sequence);
      if (known < 0) return;
      this.#outOfOrder.shift();
      if (known < payload.length) this.#write(payload.subarray(known));
      // The guest should know at once that the gap is filled.
      this.#acknowledge();
    }
  }

  #write(bytes: Uint8Array): void {
    // Nothing comes behind a FIN.
    const most =
      this.#finAt === undefined ? bytes.length : Math.max(0, distance(this.#finAt, this.#receiveNext));
    const piece = bytes.subarray(0, most);
    this.#receiveNext = (this.#receiveNext + piece.length) >>> 0;
    if (piece.length > 0) this.#socket?.write(piece);
  }

  #keep(sequence: number, piece: Uint8Array): void {
    const kept = this.#outOfOrder;
    if (kept.length >= MAX_OUT_OF_ORDER) return;
    const at = kept.findIndex((other) => distance(other.sequence, sequence) >= 0);
    const same = kept[at];
    if (same?.sequence === sequence) {
      // A copy, as the frame around it may be many times as large.
      if (same.payload.length < piece.length) kept[at] = { sequence, payload: piece.slice() };
    } else {
      kept.splice(at < 0 ? kept.length : at, 0, { sequence, payload: piece.slice() });
    }
  }

  // Endings.

  /** Both sides have ended and know it of each other. */
  #finish(): void {
    const isDrained = (this.#socket?.pendingBytes ?? 0) === 0;
    if (!this.#endedFirst && isDrained) {
      this.#close();
      return;
    }
    this.#state = 'time-wait';
    this.#waitAnew();
  }

  #waitAnew(): void {
    this.#lingeringBytes = this.#socket?.pendingBytes ?? 0;
    this.#setDeadline(this.#ports.nowNs() + TIME_WAIT_NS);
  }

  #close(): void {
    this.#state = 'closed';
    this.#setDeadline(Infinity);
    this.#buffer.discard(this.#buffer.length);
    this.#outOfOrder = [];
    this.#acksDue = 0;
    this.#ports.closed();
  }

  #pause(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#socket?.pause();
  }

  #resumeIfRoom(): void {
    if (!this.#isPaused || this.#buffer.length > this.#ports.bufferBytes() / 2) return;
    this.#isPaused = false;
    this.#socket?.resume();
  }
}
