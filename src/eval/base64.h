/* base64.h: bytes as text in which nothing can end a script. */
#ifndef MN_EVAL_BASE64_H
#define MN_EVAL_BASE64_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Start with all zero but `to`; end with flush. A failure to write shows in ferror(to). */
typedef struct mn__base64 {
    FILE *to;
    uint8_t held[3];
    size_t n_held;
} mn__base64;
void mn__base64_put(mn__base64 *b, const void *data, size_t n);
/* 7 bits a byte, lowest first; the eighth says that more follow. */
void mn__base64_put_varint(mn__base64 *b, uint64_t x);
void mn__base64_flush(mn__base64 *b);

#endif
