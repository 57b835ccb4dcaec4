/**
 * Tells states apart: 64 bits in two lanes of 32, multiply-xorshift as in xxHash32. Not cryptographic; at a million states the
 * chance of taking two for one is about 3 in 10^8.
 */
export class Digest {
  #a = 0x2545f491;
  #b = 0x6c62272e;

  add(word: number): void {
    let a = Math.imul(this.#a ^ word, 0x9e3779b1);
    a = Math.imul(a ^ (a >>> 15), 0x85ebca77);
    this.#a = a ^ (a >>> 13);
    let b = Math.imul(this.#b + word, 0xc2b2ae3d) ^ this.#a;
    b = Math.imul(b ^ (b >>> 16), 0x27d4eb2f);
    this.#b = b ^ (b >>> 14);
  }

  addBytes(bytes: Uint8Array): void {
    this.add(bytes.length);
    let i = 0;
    for (; i + 4 <= bytes.length; i += 4) {
      this.add(
        (bytes[i] ?? 0) | ((bytes[i + 1] ?? 0) << 8) | ((bytes[i + 2] ?? 0) << 16) | ((bytes[i + 3] ?? 0) << 24),
      );
    }
    for (; i < bytes.length; i++) this.add(bytes[i] ?? 0);
  }

  addText(text: string): void {
    this.add(text.length);
    for (let i = 0; i < text.length; i++) this.add(text.charCodeAt(i));
  }

  get high(): number {
    return this.#a >>> 0;
  }

  get low(): number {
    return this.#b >>> 0;
  }

  toString(): string {
    return this.high.toString(16).padStart(8, '0') + this.low.toString(16).padStart(8, '0');
  }
}
