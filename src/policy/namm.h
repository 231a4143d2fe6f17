/* namm.h: a NAMM as it stands in a file: what it looks at, how that is standardised, and the small
 * network that turns it into one score per cached token. Ref: arXiv 2410.13166.
 * Letters: n tokens of a lane, E inputs of the network, F = W/2+1 bins, W window, S hop. */
#ifndef MN_NAMM_H
#define MN_NAMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/diag.h"
#include "gguf/gguf_file.h"
#include "kern/kern.h"

/* ---- namm_net.c: the network ---- */

typedef enum mn__namm_head {
    MN__NAMM_LINEAR,
    MN__NAMM_MLP,
    MN__NAMM_BAM,
    MN__NAMM_MIX
} mn__namm_head;

/* Shape of a network; parameters are one flat vector, every matrix row-major [in][out]:
 * LINEAR  w[E], b
 * MLP     per layer W, then b if bias: E -> hidden -> ... -> 1, depth layers, ReLU
 * BAM     W_qkv, b_qkv, W_o, b_o, W_m, b_m (biases of the attention only if bias)
 * MIX     w[K][E], b[K]: a row of weights per component */
typedef struct mn__namm_net {
    mn__namm_head head;
    size_t n_in;                  /* E */
    size_t hidden, n_head, depth; /* BAM: d_h and its heads; MLP: width and layers */
    size_t n_part;                /* MIX: K, 2 to 16 */
    bool bias;
    bool mult;                     /* BAM: gated residual x (1 + m) + r; else x + r */
    bool residual, residual_first; /* MLP */
    bool exact; /* BAM: attention in f32 kernels, within 2e-5 of double; else in bf16 ones, as it
                   runs. A way to compute, not part of a file. */
} mn__namm_net;

/* MN_EINPUT: a shape that is none (zero, too large, heads that do not divide hidden). */
mn_status mn__namm_net_check(const mn__namm_net *net, mn_diag *diag);
size_t mn__namm_net_params(const mn__namm_net *net);
/* Floats that a forward pass over n tokens needs, 64-byte aligned. */
size_t mn__namm_net_scratch(const mn__namm_net *net, size_t n);
/* score[n] of x [n][E], oldest token first; valid [n] or NULL: zero marks a token that is no key.
 * attention: BAM's output projection [n][2E or E] is left there, or NULL. A token that sees no key
 * has b_o there. A NaN among the parameters makes every score NaN, one in a row of x at least that
 * row's. scratch: mn__namm_net_scratch floats, 64-byte aligned. Ends the caller's tiles, if any. */
void mn__namm_net_run(const mn__namm_net *net, const struct mn__kern *kern, const float *param,
                      const float *x, size_t n, const uint8_t *valid, float *score,
                      float *attention, float *scratch);

/* ---- namm_input.c: what the network may look at ---- */

/* Groups of inputs; a file names them in order. Dimensions in namm_input.c. */
enum { MN__NAMM_INPUTS = 32, MN__NAMM_NAME = 24, MN__NAMM_WINDOW_MAX = 64 };

typedef struct mn__namm_spectrum {
    size_t window, hop; /* W, S */
    double gamma;       /* per token */
    bool by_length;     /* attention times the number of tokens in the lane */
    bool log;           /* log(magnitude + eps) */
    bool corrected;     /* EMA divided by 1 - a^frames */
} mn__namm_spectrum;

/* ---- namm_file.c: one GGUF file, architecture "namm" ---- */

typedef struct mn__namm_note { /* provenance: printed, never interpreted */
    char *key, *value;
} mn__namm_note;

typedef struct mn__namm {
    mn__namm_spectrum spectrum;
    size_t update;  /* n_up: tokens between events */
    size_t stride;  /* of the text's stretches of 32 queries every so-manieth counts as observed */
    size_t age_dim; /* even */
    double age_base;
    size_t n_group; /* input groups, in the order of the network's columns */
    char group[MN__NAMM_INPUTS][MN__NAMM_NAME];
    mn__namm_net net;
    float *param;            /* [mn__namm_net_params] */
    float *mean, *deviation; /* [E]: (x - mean) / deviation; 0 and 1 for what is not standardised */
    char *options; /* defaults of the policy's options ("alloc=uniform,recent=16"), or "" */
    size_t n_note;
    mn__namm_note *note;
    uint64_t hash; /* of the file's bytes, where it was read; 0: it was made in memory */
} mn__namm;

/* Window, hop, gamma, interval, stride and ages, as a file may have them. MN_EINPUT. */
mn_status mn__namm_times_check(const mn__namm *namm, mn_diag *diag);
/* Read and check a file: sizes before use, finite statistics, the shapes of design. MN_EIO,
 * MN_EINPUT with file, key or tensor, wanted and found. NaN among parameters is allowed here: the
 * policy keeps everything then. Free with mn__namm_free. */
mn_status mn__namm_read(mn__namm **out, const char *path, mn_diag *diag);
/* The same of a file that is open already. */
mn_status mn__namm_parse(mn__namm **out, const mn__gguf *g, mn_diag *diag);
/* spec_name.c: the same by the value of an option: PATH, or PATH#HASH with the 16 hex digits that
 * the file's bytes must have. MN_EINPUT also: they have others. */
mn_status mn__namm_open(mn__namm **out, const char *value, mn_diag *diag);
/* NAME#HASH of a NAMM that was opened by this value: what records call it. */
void mn__namm_label(const mn__namm *m, const char *value, char *out, size_t cap);
/* Atomic. */
mn_status mn__namm_write(const mn__namm *namm, const char *path, mn_diag *diag);
/* The value of a note, borrowed; NULL: there is none. */
const char *mn__namm_get_note(const mn__namm *namm, const char *key);
/* One more; no other has its name. MN_ENOMEM. */
mn_status mn__namm_add_note(mn__namm *namm, const char *key, const char *value);
void mn__namm_drop_notes(mn__namm *namm);
void mn__namm_free(mn__namm *namm);

#endif
