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
/** Base64; '' where nothing was built, as under the tests. */
declare module '*.wasm' {
  const base64: string;
  export default base64;
}
