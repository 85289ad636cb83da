/* zlib and xz: a text of 128 KiB through both and back, in pieces. */
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define SIZE (128 * 1024)

static unsigned char *text, *packed, *back;

static void fill(void) {
    static const char *const words[] = {"tag", "granule", "block", "page", "lend", "take back", "nibble", "migrate"};
    unsigned seed = 7;
    for (size_t at = 0; at < SIZE;) {
        seed = seed * 1103515245 + 12345;
        at += (size_t)snprintf((char *)text + at, SIZE - at + 1, "%s %x\n", words[seed >> 29], (seed >> 12) & 0xff);
    }
}

static size_t deflated(int level) {
    z_stream z = {0};
    if (deflateInit2(&z, level, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) != Z_OK) return 0;
    z.next_out = packed;
    z.avail_out = 2 * SIZE;
    for (size_t at = 0; at < SIZE; at += 10007) {
        z.next_in = text + at;
        z.avail_in = SIZE - at < 10007 ? SIZE - at : 10007;
        deflate(&z, at + 10007 >= SIZE ? Z_FINISH : Z_NO_FLUSH);
    }
    deflateEnd(&z);
    return z.total_out;
}

static int inflated(size_t length) {
    z_stream z = {0};
    inflateInit2(&z, 15 + 32);
    z.next_in = packed;
    z.avail_in = length;
    z.next_out = back;
    int result = Z_OK;
    while (result == Z_OK) {
        z.avail_out = 4099;
        result = inflate(&z, Z_NO_FLUSH);
    }
    inflateEnd(&z);
    return result == Z_STREAM_END && z.total_out == SIZE && memcmp(text, back, SIZE) == 0;
}

int main(void) {
    text = malloc(SIZE + 1);
    packed = malloc(2 * SIZE);
    back = malloc(SIZE + 8192);
    fill();
    printf("crc32 %08lx, adler32 %08lx\n", crc32(0, text, SIZE), adler32(1, text, SIZE));
    for (int level = 1; level <= 9; level += 4) {
        size_t length = deflated(level);
        printf("gzip -%d: %zu bytes, crc32 %08lx, back %d\n", level, length, crc32(0, packed, length), inflated(length));
    }
    size_t length = 0, in = 0, out = 0;
    lzma_ret result = lzma_easy_buffer_encode(0, LZMA_CHECK_CRC64, 0, text, SIZE, packed, &length, 2 * SIZE);
    printf("xz -0: %d, %zu bytes, crc32 %08lx\n", result, length, crc32(0, packed, length));
    uint64_t limit = UINT64_MAX;
    result = lzma_stream_buffer_decode(&limit, 0, 0, packed, &in, length, back, &out, SIZE);
    printf("back: %d, %zu bytes, same %d\n", result, out, memcmp(text, back, SIZE) == 0);
    packed[length / 2] ^= 1;
    in = out = 0;
    result = lzma_stream_buffer_decode(&limit, 0, 0, packed, &in, length, back, &out, SIZE);
    printf("damaged: %d\n", result == LZMA_DATA_ERROR);
    return 13;
}
