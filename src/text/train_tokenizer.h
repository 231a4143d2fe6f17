/* train_tokenizer.h: a C face of SentencePiece's trainer (byte-pair encoding with byte fallback).
 * A library of its own where SentencePiece is there at build time (MN_HAVE_SENTENCEPIECE): its C++
 * stays outside of libmneme. Knows no ledger: SentencePiece allocates for itself. */
#ifndef MN_TEXT_TRAIN_TOKENIZER_H
#define MN_TEXT_TRAIN_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MN__SPM_API __attribute__((visibility("default")))

/* A line is at most so long: SentencePiece numbers the characters of one in 16 bits. */
enum { MN__SPM_LINE_BYTES = 4096 };
/* The first ids: unknown characters, which byte fallback leaves none of, and the one token that
 * parts documents. */
enum { MN__SPM_UNKNOWN = 0, MN__SPM_END = 1 };

typedef struct mn__spm mn__spm; /* a trained model */

typedef struct mn__spm_params {
    int32_t n_vocab; /* tokens in all, 258 of them special or bytes */
    double coverage; /* of the sample's characters that get a token, in (0.98, 1] */
    /* The next line of the sample, n bytes of UTF-8 without a line break; false: no more. Borrowed
     * until the next call. */
    bool (*next)(void *ctx, const char **line, size_t *n);
    void *ctx;
} mn__spm_params;

/* The same model for the same lines. false: `why` [n_why] says why not. No text is normalised, no
 * space put in front; pieces keep to one script and one word; digits stand alone. */
MN__SPM_API bool mn__spm_train(mn__spm **out, const mn__spm_params *params, char *why,
                               size_t n_why);
MN__SPM_API void mn__spm_free(mn__spm *p); /* NULL is fine */

MN__SPM_API int32_t mn__spm_n(const mn__spm *p);
/* i in [0, n). The text is borrowed; types are those of tokenizer.ggml.token_type: 1 normal,
 * 2 unknown, 3 control, 5 unused, 6 byte. */
MN__SPM_API const char *mn__spm_text(const mn__spm *p, int32_t i);
MN__SPM_API float mn__spm_score(const mn__spm *p, int32_t i);
MN__SPM_API int32_t mn__spm_type(const mn__spm *p, int32_t i);

/* SentencePiece's own ids of a text: how many, of which the first `cap` are in out. For tests of
 * what becomes of the model elsewhere. SIZE_MAX: it failed. */
MN__SPM_API size_t mn__spm_encode(const mn__spm *p, const char *text, size_t n, int32_t *out,
                                  size_t cap);

#ifdef __cplusplus
}
#endif
#endif
