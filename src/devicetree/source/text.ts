/**
 * Source bytes to text and back.
 *
 * dtc copies the bytes between quotes as they are, UTF-8 or not. To be able to give each byte back,
 * bytes that are not UTF-8 become lone surrogates U+DC80..U+DCFF, which no valid text contains
 * (the device known from Python's `surrogateescape`).
 */

/** UTF-8 bytes as text; if they are not UTF-8, bytes from 0x80 each become U+DC00 + byte. */
export function decodeSource(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    const pieces: string[] = [];
    for (let at = 0; at < bytes.length; at += 8192) {
      const piece = Array.from(bytes.subarray(at, at + 8192), (b) => (b < 0x80 ? b : 0xdc00 + b));
      pieces.push(String.fromCharCode(...piece));
    }
    return pieces.join('');
  }
}

/** The bytes that text came from: UTF-8, lone surrogates of `decodeSource` as the single bytes they stand for. */
export function encodeSource(text: string): Uint8Array {
  if (!/[\udc80-\udcff]/.test(text)) return new TextEncoder().encode(text);
  const out: number[] = [];
  const encoder = new TextEncoder();
  for (const character of text) {
    const code = character.codePointAt(0)!;
    if (code >= 0xdc80 && code <= 0xdcff) out.push(code - 0xdc00);
    else out.push(...encoder.encode(character));
  }
  return Uint8Array.from(out);
}
