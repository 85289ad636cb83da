/**
 * Text of a guest, losslessly: names of files, arguments and variables are bytes to Linux, UTF-8 by habit alone.
 *
 * What is UTF-8 becomes the text it is. Each byte that belongs to no character becomes a lone low surrogate
 * (U+DC80 to U+DCFF), which no UTF-8 yields, so that the way back is exact (as PEP 383 has it).
 */
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();
const ESCAPE = 0xdc00;

/** Bytes of the UTF-8 character that begins at `at`; 0 where none does. */
function characterAt(bytes: Uint8Array, at: number): number {
  const first = bytes[at]!;
  if (first < 0x80) return 1;
  const size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  try {
    decoder.decode(bytes.subarray(at, at + size));
    return size;
  } catch {
    return 0;
  }
}

/** The text of a guest's bytes. */
export function textOfBytes(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    const parts: string[] = [];
    for (let at = 0; at < bytes.length; ) {
      const size = characterAt(bytes, at);
      parts.push(
        size === 0 ? String.fromCharCode(ESCAPE | bytes[at]!) : decoder.decode(bytes.subarray(at, at + size)),
      );
      at += Math.max(1, size);
    }
    return parts.join('');
  }
}

/** The bytes of a text that `textOfBytes` gave, or of any other. */
export function bytesOfText(text: string): Uint8Array {
  if (!/[\udc80-\udcff]/.test(text)) return encoder.encode(text);
  const parts: Uint8Array[] = [];
  for (const character of text) {
    const code = character.charCodeAt(0);
    const isEscaped = character.length === 1 && code >= 0xdc80 && code <= 0xdcff;
    parts.push(isEscaped ? Uint8Array.of(code & 0xff) : encoder.encode(character));
  }
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
