/** The part of protocol buffers' wire format that reading and changing a model file takes. */

/** The bytes are no well-formed message; the message says why. */
export class MalformedError extends Error {}

/** How a field is stored. */
export const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

export interface Field {
  readonly number: number;
  readonly wire: number;
  /** Of a varint. */
  readonly value: bigint;
  /** Of all others. */
  readonly bytes: Uint8Array;
  /** The field with its key and length. */
  readonly whole: Uint8Array;
}

const NOTHING = new Uint8Array();
const LARGEST_NUMBER = 0x1fffffffn;

/** The fields of a message, one after the other. Throws MalformedError. */
export function* fields(message: Uint8Array): Generator<Field, void, void> {
  let place = 0;

  function varint(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 64n; shift += 7n) {
      const byte = message[place++];
      if (byte === undefined) throw new MalformedError("it ends early");
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw new MalformedError("it has a number of more than 64 bits");
  }

  function take(length: number): Uint8Array {
    if (length > message.length - place) throw new MalformedError("it ends early");
    return message.subarray(place, (place += length));
  }

  while (place < message.length) {
    const start = place;
    const key = varint();
    const number = key >> 3n;
    const wire = Number(key & 7n);
    if (number === 0n || number > LARGEST_NUMBER) {
      throw new MalformedError("it has a field without a valid number");
    }
    let value = 0n;
    let bytes: Uint8Array = NOTHING;
    switch (wire) {
      case WIRE.varint:
        value = varint();
        break;
      case WIRE.fixed64:
        bytes = take(8);
        break;
      case WIRE.bytes:
        bytes = take(Number(varint()));
        break;
      case WIRE.fixed32:
        bytes = take(4);
        break;
      default:
        throw new MalformedError("it has a field of an unknown kind");
    }
    yield { number: Number(number), wire, value, bytes, whole: message.subarray(start, place) };
  }
}

/** The bytes of a field; of those that are there twice, protocol buffers take the last. */
export function bytesOf(parts: readonly Field[], number: number): Uint8Array {
  return parts.findLast((part) => part.number === number)?.bytes ?? NOTHING;
}

/** A sub-message or string as a field of a message. */
export function submessage(number: number, parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return concatenated([varintBytes(number * 8 + WIRE.bytes), varintBytes(length), ...parts]);
}

/** A number as a field of a message. */
export function numberField(number: number, value: number): Uint8Array {
  return concatenated([varintBytes(number * 8 + WIRE.varint), varintBytes(value)]);
}

export function concatenated(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let place = 0;
  for (const part of parts) {
    whole.set(part, place);
    place += part.length;
  }
  return whole;
}

const DECODER = new TextDecoder("utf-8", { fatal: true });

/** Bytes as text. Throws MalformedError unless they are UTF-8. */
export function text(bytes: Uint8Array): string {
  try {
    return DECODER.decode(bytes);
  } catch {
    throw new MalformedError("it has text that is not UTF-8");
  }
}

function varintBytes(value: number): Uint8Array {
  const bytes: number[] = [];
  for (; value >= 0x80; value = Math.floor(value / 0x80)) bytes.push((value % 0x80) | 0x80);
  bytes.push(value);
  return Uint8Array.from(bytes);
}
