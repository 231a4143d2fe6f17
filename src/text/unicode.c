/* unicode.c: runs of code points, looked up by halving. */
#include "text/unicode.h"

#include "text/utf8.h"

typedef struct unicode_run {
    uint32_t first, last;
} unicode_run;

typedef struct unicode_case {
    uint32_t first, last;
    uint8_t step;
    int32_t difference;
} unicode_case;

#include "text/unicode_tables.inc"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* The code point of a whole character that the gate let through. */
static size_t read_whole(const uint8_t *in, uint32_t *c)
{
    if (in[0] < 0x80) {
        *c = in[0];
        return 1;
    }
    size_t len = in[0] < 0xE0 ? 2 : in[0] < 0xF0 ? 3 : 4;
    *c = in[0] & (0xFFu >> (len + 1));
    for (size_t i = 1; i < len; i++) *c = *c << 6 | (in[i] & 0x3Fu);
    return len;
}

static size_t read_all(const char *in, size_t n, uint32_t *out)
{
    size_t n_out = 0;
    for (size_t i = 0; i < n;) i += read_whole((const uint8_t *)in + i, &out[n_out++]);
    return n_out;
}

size_t mn__unicode_read(const char *in, size_t n, uint32_t *out)
{
    mn__utf8_gate gate = {0};
    char whole[MN__UTF8_BOUND(1)];
    size_t n_out = 0;
    for (size_t i = 0; i < n; i++) {
        size_t n_whole = mn__utf8_gate_push(&gate, in + i, 1, whole);
        n_out += read_all(whole, n_whole, out + n_out);
    }
    return n_out + read_all(whole, mn__utf8_gate_flush(&gate, whole), out + n_out);
}

size_t mn__unicode_write(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = len; i-- > 1; c >>= 6) out[i] = (char)(0x80 | (c & 0x3F));
    out[0] = (char)((0xF00u >> len & 0xF0u) | c);
    return len;
}

/* The run that holds c, or NULL. */
static const unicode_run *find_run(const unicode_run *runs, size_t n, uint32_t c)
{
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (c > runs[mid].last) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo < n && c >= runs[lo].first ? &runs[lo] : NULL;
}

bool mn__unicode_is_word(uint32_t c)
{
    return find_run(unicode_words, COUNT(unicode_words), c) != NULL;
}

bool mn__unicode_is_digit(uint32_t c)
{
    return mn__unicode_digit(c) >= 0;
}

bool mn__unicode_is_space(uint32_t c)
{
    return find_run(unicode_spaces, COUNT(unicode_spaces), c) != NULL;
}

int mn__unicode_digit(uint32_t c)
{
    const unicode_run *run = find_run(unicode_digits, COUNT(unicode_digits), c);
    return run ? (int)((c - run->first) % 10) : -1;
}

uint32_t mn__unicode_lower(uint32_t c)
{
    if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
    if (c == 0x130) return 'i';
    size_t lo = 0, hi = COUNT(unicode_lower);
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (c > unicode_lower[mid].last) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    if (lo == COUNT(unicode_lower) || c < unicode_lower[lo].first) return c;
    if ((c - unicode_lower[lo].first) % unicode_lower[lo].step != 0) return c;
    return (uint32_t)((int32_t)c + unicode_lower[lo].difference);
}
