/** Assembly, device trees and small binaries are bundled into the library as text or bytes. */
declare module '*.s' {
  const text: string;
  export default text;
}
declare module '*.dts' {
  const text: string;
  export default text;
}
declare module '*.elf' {
  const bytes: Uint8Array;
  export default bytes;
}
