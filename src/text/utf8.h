/* utf8.h: whole characters out of arbitrary bytes. Tokens are bytes and may end inside a character;
 * documents may hold none. */
#ifndef MN_TEXT_UTF8_H
#define MN_TEXT_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Bytes go in as they come, whole characters come out; each maximal part of a broken character
 * becomes one U+FFFD (the Unicode standard's recommended practice, chapter 3.9). Start with all
 * zero. */
typedef struct mn__utf8_gate {
    uint8_t held[4]; /* beginning of a character that may still be completed */
    uint8_t n_held;
    size_t n_replaced; /* U+FFFD written so far */
} mn__utf8_gate;

/* Room that a push of n bytes, or a flush (n = 0), may need. */
#define MN__UTF8_BOUND(n) (3 * ((size_t)(n) + 3))

/* Both return the bytes written to out [MN__UTF8_BOUND(n)]. flush: the stream has ended, an open
 * character is broken. */
size_t mn__utf8_gate_push(mn__utf8_gate *g, const char *in, size_t n, char *out);
size_t mn__utf8_gate_flush(mn__utf8_gate *g, char *out);

/* How many U+FFFD a gate would write for this text; 0: it is valid as it stands. */
size_t mn__utf8_count_broken(const char *in, size_t n);

#endif
