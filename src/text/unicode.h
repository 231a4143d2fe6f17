/* unicode.h: code points and what kind of character they are, as Python's str sees them (no locale
 * is asked). The tables come from scripts/gen_unicode. */
#ifndef MN_TEXT_UNICODE_H
#define MN_TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Code points of n bytes of UTF-8, which may be broken: each maximal broken part is one U+FFFD.
 * out [n]; returns how many were written, at most n. */
size_t mn__unicode_read(const char *in, size_t n, uint32_t *out);
/* Bytes of c in UTF-8, 1 to 4; c is a code point, no surrogate. */
size_t mn__unicode_write(uint32_t c, char out[4]);

bool mn__unicode_is_word(uint32_t c);  /* letter, number or _: \w of a regular expression */
bool mn__unicode_is_digit(uint32_t c); /* decimal digit of any script: \d */
bool mn__unicode_is_space(uint32_t c); /* what str.split() splits at: \s */
int mn__unicode_digit(uint32_t c);     /* 0 to 9, or -1 */
/* Lower case of c alone. Two letters are not served as str.lower() does: U+0130, which becomes two
 * characters there (here: i), and a capital sigma, which is a final one there at a word's end. */
uint32_t mn__unicode_lower(uint32_t c);

#endif
