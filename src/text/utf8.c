/* utf8.c: the byte gate. A character is a lead byte that fixes its length and the range of the
 * second byte (which is what keeps overlong forms, surrogates and values above U+10FFFF out), then
 * continuation bytes. */
#include "text/utf8.h"

#include <stdbool.h>
#include <string.h>

/* Length of the character that `lead` opens (0: none) and the range of its second byte. */
static size_t utf8_lead(uint8_t lead, uint8_t *lo, uint8_t *hi)
{
    *lo = 0x80;
    *hi = 0xBF;
    if (lead < 0x80) return 1;
    if (lead < 0xC2) return 0;
    if (lead < 0xE0) return 2;
    if (lead < 0xF0) {
        if (lead == 0xE0) *lo = 0xA0;
        if (lead == 0xED) *hi = 0x9F;
        return 3;
    }
    if (lead < 0xF5) {
        if (lead == 0xF0) *lo = 0x90;
        if (lead == 0xF4) *hi = 0x8F;
        return 4;
    }
    return 0;
}

/* May `byte` follow the n_held bytes in `held`? */
static bool utf8_continues(const mn__utf8_gate *g, uint8_t byte)
{
    uint8_t lo, hi;
    utf8_lead(g->held[0], &lo, &hi);
    if (g->n_held > 1) return byte >= 0x80 && byte <= 0xBF;
    return byte >= lo && byte <= hi;
}

static size_t utf8_replace(mn__utf8_gate *g, char *out)
{
    memcpy(out, "\xEF\xBF\xBD", 3);
    g->n_held = 0;
    g->n_replaced++;
    return 3;
}

static size_t utf8_push_byte(mn__utf8_gate *g, uint8_t byte, char *out)
{
    size_t n = 0, len;
    uint8_t lo, hi;
    if (g->n_held > 0 && !utf8_continues(g, byte)) n += utf8_replace(g, out);
    if (g->n_held == 0 && utf8_lead(byte, &lo, &hi) == 0) return n + utf8_replace(g, out + n);
    g->held[g->n_held++] = byte;
    len = utf8_lead(g->held[0], &lo, &hi);
    if (g->n_held < len) return n;
    memcpy(out + n, g->held, len);
    g->n_held = 0;
    return n + len;
}

size_t mn__utf8_gate_push(mn__utf8_gate *g, const char *in, size_t n, char *out)
{
    size_t written = 0;
    for (size_t i = 0; i < n; i++) written += utf8_push_byte(g, (uint8_t)in[i], out + written);
    return written;
}

size_t mn__utf8_gate_flush(mn__utf8_gate *g, char *out)
{
    return g->n_held > 0 ? utf8_replace(g, out) : 0;
}

size_t mn__utf8_count_broken(const char *in, size_t n)
{
    mn__utf8_gate g = {0};
    char out[MN__UTF8_BOUND(1)];
    for (size_t i = 0; i < n; i++) utf8_push_byte(&g, (uint8_t)in[i], out);
    mn__utf8_gate_flush(&g, out);
    return g.n_replaced;
}
