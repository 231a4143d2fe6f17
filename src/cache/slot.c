/* slot.c: where a token's channels lie inside a page, and moving them.
 * K is blocks of [n_unit][16 tokens] units: a unit is a pair of channels (bf16, 8-bit) or a channel
 * (f32). V is [pairs of tokens][d][2] (bf16, 8-bit) or [token][d] (f32). */
#include "cache/slot.h"

#include <string.h>

size_t mn__kv_element_bytes(mn__kv_type type)
{
    return type == MN__KV_F32 ? sizeof(float) : type == MN__KV_BF16 ? sizeof(mn_bf16) : 1;
}

static size_t unit_bytes(mn__kv_type type)
{
    return type == MN__KV_Q8 ? 2 : 4;
}

static size_t unit_count(mn__kv_type type, size_t d)
{
    return type == MN__KV_F32 ? d : d / 2;
}

/* First unit of slot i; the next one is 16 units further on. */
static size_t key_offset(mn__kv_type type, size_t d, size_t i)
{
    return (i / 16 * 16 * unit_count(type, d) + i % 16) * unit_bytes(type);
}

static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* m units of every row. Constant sizes for the two common cases: the compiler makes single moves
 * of them. */
static void move_units(uint8_t *dst, const uint8_t *src, size_t n_unit, size_t unit, size_t m)
{
    if (m == 1 && unit == 4)
        for (size_t u = 0; u < n_unit; u++) memcpy(dst + 64 * u, src + 64 * u, 4);
    else if (m == 1)
        for (size_t u = 0; u < n_unit; u++) memcpy(dst + 32 * u, src + 32 * u, 2);
    else
        for (size_t u = 0; u < n_unit; u++)
            memmove(dst + 16 * unit * u, src + 16 * unit * u, m * unit);
}

static void move_keys(mn__kv_type type, size_t d, void *dst, size_t to, const void *src,
                      size_t from, size_t n)
{
    while (n) {
        size_t m = min(n, min(16 - to % 16, 16 - from % 16));
        move_units((uint8_t *)dst + key_offset(type, d, to),
                   (const uint8_t *)src + key_offset(type, d, from), unit_count(type, d),
                   unit_bytes(type), m);
        to += m;
        from += m;
        n -= m;
    }
}

/* One slot of V in pairs of tokens: every second element. */
static void move_value(uint8_t *dst, size_t to, const uint8_t *src, size_t from, size_t d,
                       size_t element)
{
    dst += (to / 2 * 2 * d + to % 2) * element;
    src += (from / 2 * 2 * d + from % 2) * element;
    if (element == 2)
        for (size_t c = 0; c < d; c++) memcpy(dst + 4 * c, src + 4 * c, 2);
    else
        for (size_t c = 0; c < d; c++) dst[2 * c] = src[2 * c];
}

static void move_values(mn__kv_type type, size_t d, uint8_t *dst, size_t to, const uint8_t *src,
                        size_t from, size_t n)
{
    size_t element = mn__kv_element_bytes(type);
    while (n) {
        size_t m = 1;
        if (type == MN__KV_F32)
            m = n;
        else if (n > 1 && to % 2 == 0 && from % 2 == 0)
            m = n - n % 2;
        if (m > 1 || type == MN__KV_F32)
            memmove(dst + to * d * element, src + from * d * element, m * d * element);
        else
            move_value(dst, to, src, from, d, element);
        to += m;
        from += m;
        n -= m;
    }
}

void mn__slot_move(mn__kv_type type, size_t d, void *dst, size_t to, const void *src, size_t from,
                   size_t n)
{
    size_t keys = MN__PAGE_TOKENS * d * mn__kv_element_bytes(type);
    move_keys(type, d, dst, to, src, from, n);
    move_values(type, d, (uint8_t *)dst + keys, to, (const uint8_t *)src + keys, from, n);
}

void mn__slot_get_raw(mn__kv_type type, size_t d, const void *page, size_t i, void *raw)
{
    size_t unit = unit_bytes(type), n_unit = unit_count(type, d);
    const uint8_t *src = (const uint8_t *)page + key_offset(type, d, i);
    for (size_t u = 0; u < n_unit; u++)
        memcpy((uint8_t *)raw + u * unit, src + u * 16 * unit, unit);
}

void mn__slot_put_raw(mn__kv_type type, size_t d, void *page, size_t i, const void *raw)
{
    size_t unit = unit_bytes(type), n_unit = unit_count(type, d);
    uint8_t *dst = (uint8_t *)page + key_offset(type, d, i);
    for (size_t u = 0; u < n_unit; u++)
        memcpy(dst + u * 16 * unit, (const uint8_t *)raw + u * unit, unit);
}

void mn__slot_put_raw_value(mn__kv_type type, size_t d, void *page, size_t i, const void *raw)
{
    size_t element = mn__kv_element_bytes(type);
    uint8_t *dst = (uint8_t *)page + MN__PAGE_TOKENS * d * element;
    const uint8_t *src = raw;
    if (type == MN__KV_F32) {
        memcpy(dst + i * d * element, src, d * element);
        return;
    }
    dst += (i / 2 * 2 * d + i % 2) * element;
    for (size_t c = 0; c < d; c++) memcpy(dst + 2 * c * element, src + c * element, element);
}

void mn__slot_get_q8(const void *page, size_t i, size_t n, size_t d, const float *scale_k,
                     const float *scale_v, float *k, float *v)
{
    const int8_t *value = (const int8_t *)page + MN__PAGE_TOKENS * d;
    int8_t key[MN__HEAD_DIM_MAX];
    for (size_t r = 0; r < n; r++) {
        size_t t = i + r;
        if (k) {
            mn__slot_get_raw(MN__KV_Q8, d, page, t, key);
            for (size_t c = 0; c < d; c++) k[r * d + c] = (float)key[c] * scale_k[r];
        }
        if (v)
            for (size_t c = 0; c < d; c++)
                v[r * d + c] = (float)value[t / 2 * 2 * d + 2 * c + t % 2] * scale_v[r];
    }
}
