/** LEB128 and sections. WebAssembly Core Specification 2.0, 5.2 and 5.5. */

export function pushU32(out: number[], value: number): void {
  let rest = value >>> 0;
  while (rest >= 0x80) {
    out.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  out.push(rest);
}

export function pushS32(out: number[], value: number): void {
  let rest = value | 0;
  for (;;) {
    const byte = rest & 0x7f;
    rest >>= 7;
    if ((rest === 0 && (byte & 0x40) === 0) || (rest === -1 && (byte & 0x40) !== 0)) {
      out.push(byte);
      return;
    }
    out.push(byte | 0x80);
  }
}

export function pushS64(out: number[], value: bigint): void {
  let rest = BigInt.asIntN(64, value);
  if (rest >= -0x8000_0000n && rest <= 0x7fff_ffffn) {
    pushS32(out, Number(rest));
    return;
  }
  for (;;) {
    const byte = Number(rest & 0x7fn);
    rest >>= 7n;
    if ((rest === 0n && (byte & 0x40) === 0) || (rest === -1n && (byte & 0x40) !== 0)) {
      out.push(byte);
      return;
    }
    out.push(byte | 0x80);
  }
}

export function pushName(out: number[], name: string): void {
  // Names are ours and ASCII.
  pushU32(out, name.length);
  for (let i = 0; i < name.length; i++) out.push(name.charCodeAt(i));
}

const VAL_TYPES = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b } as const;

export function valType(type: keyof typeof VAL_TYPES): number {
  return VAL_TYPES[type];
}
