/* peer.h: llama.cpp as the other opinion: logits of every row of a text by libllama, copies of
 * models widened to F32, and how far two sets of logits are apart. */
#ifndef PEER_H
#define PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct peer peer;

/* Fill with peer_params_default first. Fields of the rotation: 0 or -1 as said: as the file says.
 */
typedef struct peer_params {
    uint32_t n_ctx;   /* 0: the trained context */
    uint32_t n_batch; /* most rows of one llama_decode (default 512) */
    int n_thread;     /* default 2 */
    bool kv_f32;      /* F32 cache (default), else F16 */
    bool flash;       /* flash attention (default off) */
    int rope_scaling; /* enum llama_rope_scaling_type, -1: as the file says */
    float rope_base, rope_freq_scale;
    uint32_t yarn_orig_ctx;
} peer_params;
void peer_params_default(peer_params *p);

/* Open a model and a context on it; libllama's log is silenced. NULL: a sentence went to stderr.
 * Owned by the caller. */
peer *peer_open(const char *path, const peer_params *p);
void peer_free(peer *p); /* NULL is fine */
size_t peer_n_vocab(const peer *p);
/* Tokens of a text, with the special tokens the model asks for. Returns how many (at most cap), or
 * -1. */
int32_t peer_tokenize(const peer *p, const char *text, size_t n_bytes, int32_t *token, size_t cap);
/* Append n tokens to sequence 0, `chunk` rows at a time (1 .. n_batch). logits: out [n][V], or
 * NULL. false: libllama refused. */
bool peer_decode(peer *p, const int32_t *token, size_t n, size_t chunk, float *logits);
/* Forget the sequence. */
void peer_clear(peer *p);

/* Write a copy of a GGUF whose tensors are all F32 (integers stay). One tensor in memory at a time.
 * false: a sentence on stderr. */
bool peer_write_f32(const char *from, const char *to);

/* How far logits `b` are from logits `a` (the reference), both [n][V]; all sums in double. */
typedef struct peer_distance {
    double kl_mean, kl_max; /* KL(a || b) per row, nats */
    double same_top;        /* share of rows with the same largest logit */
    double ppl_a, ppl_b;    /* perplexity of the tokens under each (row i predicts token i+1) */
    double max_abs;         /* largest difference of two logits */
    double spread; /* mean over rows of the standard deviation of a: tells a trivial test */
    size_t n_bad;  /* logits that are not finite, in a or b */
} peer_distance;
void peer_compare(const float *a, const float *b, const int32_t *token, size_t n, size_t n_vocab,
                  peer_distance *out);

/* The same row by row, for logits too many to keep. Begin with zeros. */
typedef struct peer_tally {
    size_t n, n_next, n_same, n_bad; /* rows; rows whose successor is known */
    double kl_sum, kl_max, nll_a, nll_b, max_abs, spread;
} peer_tally;
/* Add row `a` (the reference) and row `b`, [n_vocab] each; next: the token that follows in the
 * text, -1: unknown. */
void peer_tally_row(peer_tally *t, const float *a, const float *b, size_t n_vocab, int32_t next);
void peer_tally_end(const peer_tally *t, peer_distance *out);

#endif
