/* base64.c: three bytes become four characters (RFC 4648, section 4). */
#include "eval/base64.h"

#include <string.h>

static void put_group(const mn__base64 *b)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = (uint32_t)b->held[0] << 16 | (uint32_t)b->held[1] << 8 | b->held[2];
    char out[4];
    for (size_t i = 0; i < 4; i++) out[i] = i <= b->n_held ? digit[bits >> (18 - 6 * i) & 63] : '=';
    fwrite(out, 1, 4, b->to);
}

void mn__base64_put(mn__base64 *b, const void *data, size_t n)
{
    const uint8_t *from = data;
    for (size_t i = 0; i < n; i++) {
        b->held[b->n_held++] = from[i];
        if (b->n_held < 3) continue;
        put_group(b);
        b->n_held = 0;
    }
}

void mn__base64_put_varint(mn__base64 *b, uint64_t x)
{
    uint8_t byte[10];
    size_t n = 0;
    for (; x >= 128; x >>= 7) byte[n++] = (uint8_t)(x | 128);
    byte[n++] = (uint8_t)x;
    mn__base64_put(b, byte, n);
}

void mn__base64_flush(mn__base64 *b)
{
    if (!b->n_held) return;
    memset(b->held + b->n_held, 0, 3 - b->n_held);
    put_group(b);
    b->n_held = 0;
}
