/**
 * Cuts the bytes of a link into smux frames, wherever the bytes themselves are cut. PSH payloads are passed on piece by
 * piece as they come; other payloads, eight bytes at most, once they are whole. Nothing is kept but one header and those.
 */

import { MUX_HEADER_BYTES, MUX_UPDATE_BYTES, MuxCommand, readUint32 } from "./mux_frame.ts";

export interface MuxFrameHandler {
  /** A frame begins that has no payload, or whose payload is so much data. */
  onFrame(command: number, streamId: number, dataBytes: number): void;
  /** Bytes of the PSH frame that began last. A view, valid only during the call. */
  onData(bytes: Uint8Array): void;
  /** A frame with a short payload, whole. Valid only during the call. */
  onShort(command: number, streamId: number, payload: Uint8Array): void;
}

export type MuxFrameFault = "bad_version" | "bad_command" | "bad_length";

export class MuxFrameReader {
  readonly #version: 1 | 2;
  readonly #extensions: boolean;
  readonly #handler: MuxFrameHandler;
  readonly #header = new Uint8Array(MUX_HEADER_BYTES);
  #headerFilled = 0;
  #command = 0;
  #streamId = 0;
  #payloadLeft = 0;
  readonly #short = new Uint8Array(MUX_UPDATE_BYTES);
  #shortFilled = 0;

  constructor(version: 1 | 2, extensions: boolean, handler: MuxFrameHandler) {
    this.#version = version;
    this.#extensions = extensions;
    this.#handler = handler;
  }

  /** Reads `bytes` from `at` up to the end of one header or payload piece; gives where it stopped, or what is wrong. */
  step(bytes: Uint8Array, at: number): number | MuxFrameFault {
    return this.#headerFilled < MUX_HEADER_BYTES ? this.#readHeader(bytes, at) : this.#readPayload(bytes, at);
  }

  #readHeader(bytes: Uint8Array, at: number): number | MuxFrameFault {
    if (this.#headerFilled === 0 && bytes.length - at >= MUX_HEADER_BYTES) {
      return this.#begin(bytes, at) ?? at + MUX_HEADER_BYTES;
    }
    const count = Math.min(MUX_HEADER_BYTES - this.#headerFilled, bytes.length - at);
    this.#header.set(bytes.subarray(at, at + count), this.#headerFilled);
    this.#headerFilled += count;
    if (this.#headerFilled < MUX_HEADER_BYTES) return at + count;
    return this.#begin(this.#header, 0) ?? at + count;
  }

  #begin(header: Uint8Array, at: number): MuxFrameFault | undefined {
    if (header[at] !== this.#version) return "bad_version";
    this.#command = header[at + 1]!;
    this.#payloadLeft = header[at + 2]! | (header[at + 3]! << 8);
    this.#streamId = readUint32(header, at + 4);
    const wanted = this.#payloadLengthOf(this.#command);
    if (wanted === undefined) return "bad_command";
    if (wanted !== ANY_LENGTH && this.#payloadLeft !== wanted) return "bad_length";
    this.#shortFilled = 0;
    this.#headerFilled = this.#payloadLeft > 0 ? MUX_HEADER_BYTES : 0;
    if (wanted <= 0) this.#handler.onFrame(this.#command, this.#streamId, this.#payloadLeft);
    return undefined;
  }

  #readPayload(bytes: Uint8Array, at: number): number {
    const count = Math.min(this.#payloadLeft, bytes.length - at);
    this.#payloadLeft -= count;
    if (this.#payloadLeft === 0) this.#headerFilled = 0;
    if (this.#command === MuxCommand.PSH) {
      this.#handler.onData(bytes.subarray(at, at + count));
    } else {
      this.#short.set(bytes.subarray(at, at + count), this.#shortFilled);
      this.#shortFilled += count;
      if (this.#payloadLeft === 0) this.#handler.onShort(this.#command, this.#streamId, this.#short);
    }
    return at + count;
  }

  /** The payload length a command must have, or undefined for a command we do not know. */
  #payloadLengthOf(command: number): number | undefined {
    switch (command) {
      case MuxCommand.PSH:
        return ANY_LENGTH;
      case MuxCommand.SYN:
      case MuxCommand.FIN:
      case MuxCommand.NOP:
        return 0;
      case MuxCommand.UPD:
        return this.#version === 2 ? MUX_UPDATE_BYTES : undefined;
      case MuxCommand.RST:
        return this.#extensions ? 1 : undefined;
      case MuxCommand.PING:
      case MuxCommand.PONG:
        return this.#extensions ? 4 : undefined;
      default:
        return undefined;
    }
  }
}

const ANY_LENGTH = -1;
